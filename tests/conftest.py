"""What tests of several stages use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; it is not part of the project, so tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real test data of {SHARED}, which is not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def wojtek(shared_data) -> Path:
    path = shared_data / "wojtek.mp4"
    if not path.exists():
        pytest.skip(f"needs {path}, a real video that may not be shipped")
    return path
