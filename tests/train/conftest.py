from pathlib import Path

import pytest

from tests.train import subject


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> tuple[Path, Path]:
    """dataset/ and masks/ of 30 frames at 64 px."""
    return subject.write(tmp_path_factory.mktemp("small"), 30, size=64, gaussians=2000)
