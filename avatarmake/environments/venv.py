"""One virtual environment per stage at .venv/<stage>, and `test`, from the very lock file that makes its image.

Those with a PyTorch for CUDA lie beside them, at .venv/<stage>-cuda13.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from avatarmake import ROOT, registry
from avatarmake.contract import kinds
from avatarmake.contract.kinds import CPU
from avatarmake.environments import patched
from avatarmake.errors import Exit, StageError

STAMP = "lock.sha256"  # in an environment: what it was made of


def lock_file(name: str, kind: str = CPU) -> Path:
    """`name` is a stage, or `test`; `kind` one of kinds.KINDS."""
    of_stage = kinds.lock_file(name, kind)
    return ROOT / "tests" / of_stage.name if name == "test" else of_stage


def folder(name: str, kind: str = CPU) -> Path:
    return registry.HOME / (name if kind == CPU else f"{name}-{kind}")


def python(name: str, kind: str = CPU) -> Path:
    """The interpreter of a stage's environment, which is made, or made again when its lock has changed."""
    place = folder(name, kind)
    with registry.alone(place.name):
        if not is_current(name, kind):
            _make(lock_file(name, kind), place)
            (place / STAMP).write_text(_wanted(name, kind))
    return place / "bin" / "python"


def is_current(name: str, kind: str = CPU) -> bool:
    """Whether the environment is there and of the present lock."""
    stamp, wanted = folder(name, kind) / STAMP, _wanted(name, kind)
    return stamp.exists() and stamp.read_text() == wanted


def _wanted(name: str, kind: str) -> str:
    """What an environment is made of, in one hash: the lock and the interpreter."""
    lock = lock_file(name, kind)
    if not lock.exists():
        raise StageError("there is no such lock file", lock, "Run: make lock", Exit.ENVIRONMENT)
    interpreter = f"{sys.implementation.cache_tag} {sys.base_prefix}"
    return hashlib.sha256(lock.read_bytes() + interpreter.encode()).hexdigest()


def is_made(name: str, kind: str = CPU) -> bool:
    return (folder(name, kind) / STAMP).exists()


def _make(lock: Path, place: Path) -> None:
    """Make the environment beside its place and rename it there: a killed set-up leaves nothing half done.

    --no-deps: the lock is complete, and says less than the packages' own lists where those ask for what is not used.
    """
    print(f"{place.name}: making its environment from {lock.relative_to(ROOT)}", file=sys.stderr, flush=True)
    new = place.with_name(f".{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    registry.uv("venv", "--quiet", "--relocatable", f"--python={base}", str(new))
    registry.uv_with_torch(
        *("pip", "install", "--quiet", "--no-deps", "--require-hashes", f"--python={new / 'bin' / 'python'}"),
        *registry.uv_flags(),
        *patched.links(lock.read_text()),
        *("-r", str(lock)),
    )
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)


