"""How the suite is run, and what tests of several stages use."""

import fcntl
import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

os.environ.setdefault("MKL_CBWR", "AUTO")  # as stages ask of it; once a library has summed it is too late

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
AT_MOST = 8  # processes: each takes up to half a gigabyte
# Modules stay whole and go to a process each in this order: what takes longest first, so that none is left alone with
# it at the end; test_flame makes the demo's volume and compiles numba's kernels for others that come late enough.
# In one process they come last, so that something is seen soon.
LONG = (
    "tests/pipeline/test_flame.py",
    "tests/track/test_track.py",
    "tests/pipeline/test_kill.py",
    "tests/track/test_real_video.py",
    "tests/mask/test_stage.py",
    "tests/mask/test_bisenet.py",
    "tests/mask/test_networks.py",
    "tests/train/test_stage.py",
    "tests/frames/test_frames.py",
    "tests/head_model/test_flame_pickles.py",
    "tests/demo/test_demo.py",
)


# --- on several cores ------------------------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config) -> int:
    """Of `-n auto`: a process a core for the whole suite; none where some tests were named, which start sooner so."""
    chosen = config.args_source is not config.ArgsSource.TESTPATHS or config.option.keyword or config.option.markexpr
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if chosen or cores == 1 else min(cores, AT_MOST)


def pytest_configure(config):
    """A process of several that share the cores has one thread; threads that wait let others work.

    glibc gives large arrays back to the system at once, and the next costs a page fault every 4 KB: processes that
    start from here on keep what they had.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(name, str(2**28))
    if hasattr(config, "workerinput"):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(config, items):
    turn = {name: k for k, name in enumerate(LONG)}
    ahead = 1 if hasattr(config, "workerinput") else -1
    items.sort(key=lambda item: ahead * turn.get(item.nodeid.split("::")[0], len(LONG)))


def pytest_terminal_summary(terminalreporter):
    """What was skipped and why: a line a reason, with the first sentence of it (-rs has them all)."""
    reasons = (str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    groups = Counter(reason.removeprefix("Skipped: ").split(". ")[0] for reason in reasons)
    if groups:
        terminalreporter.section("skipped")
    for reason, count in groups.most_common():
        terminalreporter.write_line(f"{count:4}  {reason}")


@pytest.fixture(scope="session")
def common(tmp_path_factory):
    """common(name, make) -> a folder that make(folder) has filled, once for all processes of this run of the suite."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make) -> Path:
        folder, made = base / name, base / f"{name}.made"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed to
                make(folder)
                made.touch()
        return folder

    return once


# --- what tests need -------------------------------------------------------------------------------------------------


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
def chumpy_python(common) -> Path:
    """The interpreter of an environment with the patched chumpy, numpy and SciPy as locked, and nothing else."""
    from avatarmake import ROOT, registry
    from avatarmake.environments import patched
    from avatarmake.errors import Exit, StageError

    lock = (ROOT / "tests" / "requirements.lock").read_text()
    needed = re.findall(r"^(?:numpy|scipy)==[^\s\\;]+", lock, re.MULTILINE)

    def make(folder: Path) -> None:
        made = patched.wheel("chumpy")
        base = getattr(sys, "_base_executable", sys.executable)
        registry.uv("venv", "--quiet", f"--python={base}", str(folder))
        flags = ("--quiet", f"--python={folder / 'bin' / 'python'}", *registry.uv_flags())
        registry.uv("pip", "install", *flags, *needed, str(made))

    try:
        return common("chumpy", make) / "bin" / "python"
    except StageError as e:
        if e.exit != Exit.ENVIRONMENT:
            raise
        pytest.skip(f"needs chumpy, numpy and SciPy from a registry: {e}")
