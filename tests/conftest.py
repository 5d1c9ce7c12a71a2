"""What tests of several stages use."""

import re
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def assets(tmp_path_factory):
    """An empty folder of assets: what a developer has does not change what tests see."""
    folder = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATARMAKE_ASSETS", str(folder))
        yield folder


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


@pytest.fixture(scope="session")
def chumpy_python(tmp_path_factory) -> Path:
    """The interpreter of an environment with the patched chumpy, numpy and SciPy as locked, and nothing else."""
    from avatarmake import ROOT, registry
    from avatarmake.environments import patched
    from avatarmake.errors import Exit, StageError

    lock = (ROOT / "tests" / "requirements.lock").read_text()
    needed = re.findall(r"^(?:numpy|scipy)==[^\s\\;]+", lock, re.MULTILINE)
    python = tmp_path_factory.mktemp("chumpy") / "bin" / "python"
    try:
        made = patched.wheel("chumpy")
        base = getattr(sys, "_base_executable", sys.executable)
        registry.uv("venv", "--quiet", "--allow-existing", f"--python={base}", str(python.parents[1]))
        flags = ("--quiet", f"--python={python}", *registry.uv_flags())
        registry.uv("pip", "install", *flags, *needed, str(made))
    except StageError as e:
        if e.exit != Exit.ENVIRONMENT:
            raise
        pytest.skip(f"needs chumpy, numpy and SciPy from a registry: {e}")
    return python
