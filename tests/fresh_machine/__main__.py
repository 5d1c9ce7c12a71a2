"""`make test-fresh`: the README's two commands from a fresh clone, on a machine where nothing is set.

No pip setting of this host, no cache, no index and no folder of wheels: what pip and uv ask the outside for is answered
by a stand-in on loopback. Its Python is 3.10, and uv has to fetch 3.11. The stand-in has PyTorch twice, as the outside
has: the registry's own build, which is for CUDA (here a few bytes under its name, that break whatever imports them),
and the one for the CPU on PyTorch's own index.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from avatarmake import ROOT, registry
from avatarmake.environments import patched, wheels
from avatarmake.patches import sdist, series
from tests.environments import wheels as small
from tests.fresh_machine import python
from tests.fresh_machine.standin import PYTORCH, REGISTRY, Standin

# "set up and start": every stage runs, the training for a few steps; a folder of tests stands for all
COMMANDS = (
    ("make", "demo", "ENGINE=local", "DEMO_TRAIN=--resolution 256 --iterations 20"),
    ("make", "test", "OPTIONS=tests/geometry tests/formats"),
)


def shelves(scratch: Path) -> dict[str, list[Path]]:
    """What tests/requirements.lock, the union of every lock, is made of, as the two indexes have it."""
    lock = ROOT / "tests" / "requirements.lock"
    made_here = {wheel.name for wheel in patched.wheels(lock.read_text())}  # nobody else has those
    all_of_them = [wheel for wheel in wheels.wheels(lock) if wheel.name not in made_here]
    torch = [wheel for wheel in all_of_them if wheel.name.startswith("torch-")]
    for_cuda = small.make(
        scratch / "cuda",
        f"torch-{torch[0].name.split('-')[1].split('+')[0]}",
        "cp311-cp311-manylinux_2_28_x86_64",
        __init__="raise ImportError('this is the build for CUDA')",
    )
    archives = [sdist.sdist(of) for name in series.names() if (of := series.upstream(name)).package]
    return {REGISTRY: [*(w for w in all_of_them if w not in torch), for_cuda, *archives], PYTORCH: torch}


def fresh_clone(place: Path) -> Path:
    """What is committed, and nothing that was made here."""
    subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(place)], check=True)
    return place


def bare(home: Path, standin: Standin) -> dict[str, str]:
    """The environment of a user who has just logged in: no variable of pip, uv, Python or a proxy of this host."""
    pythons = Path(getattr(sys, "_base_executable", sys.executable)).parent
    given = {"PATH": f"{pythons}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), **standin.variables()}
    if python.relocatable():
        given |= {"PYTHON": str(python.another(home)), "UV_PYTHON_DOWNLOADS_JSON_URL": python.downloads(home)}
    else:
        print(f"fresh machine: {sys.base_prefix} cannot be copied, so fetching a Python is not tried", flush=True)
    return given


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        clone = fresh_clone(scratch / "avatarmake")
        (scratch / "home").mkdir()
        with Standin(shelves(scratch)) as standin:
            given = bare(scratch / "home", standin)
            for command in COMMANDS:
                print("fresh machine:", " ".join(command), flush=True)
                done = subprocess.run(command, cwd=clone, env=given)
                if done.returncode:
                    print(f"fresh machine: `{' '.join(command)}` ended with {done.returncode}", file=sys.stderr)
                    return 1
            asked = [path for path in standin.asked if path.startswith(PYTORCH) and path.endswith(".whl")]
            if not asked:
                print("fresh machine: PyTorch did not come from its own index", file=sys.stderr)
                return 1
    print(f"fresh machine: both commands work; PyTorch's build for the CPU came from its own index ({len(asked)} time)")
    return 0


if __name__ == "__main__":
    assert registry.HOME.parent == ROOT and os.getcwd() == str(ROOT), "run it by `make test-fresh`"
    sys.exit(main())
