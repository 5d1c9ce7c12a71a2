"""The local engine: one virtual environment per stage at .venv/<stage>, from the stage's own lock file.

For laptops and pods where no Docker daemon runs. The stage replaces this process: signals and exit codes are its own.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from stages import assets
from stages.contract import ROOT
from stages.engine import registry
from stages.engine.registry import HOME, alone
from stages.engine.request import Request
from stages.errors import Exit, StageError
from stages.patches import package


def lock_file(name: str) -> Path:
    """`name` is a stage, or `test`."""
    return ROOT / "tests" / "requirements.lock" if name == "test" else ROOT / "docker" / name / "requirements.lock"


def python(name: str) -> Path:
    """The interpreter of a stage's environment, which is made, or made again when its lock has changed."""
    lock = lock_file(name)
    if not lock.exists():
        raise StageError("there is no such lock file", lock, "Run: make lock", Exit.ENVIRONMENT)
    interpreter = f"{sys.implementation.cache_tag} {sys.base_prefix}"
    wanted = hashlib.sha256(lock.read_bytes() + interpreter.encode()).hexdigest()
    place = HOME / name
    with alone(name):
        stamp = place / "lock.sha256"
        if not (stamp.exists() and stamp.read_text() == wanted):
            _make(name, lock, place)
            stamp.write_text(wanted)
    return place / "bin" / "python"


def is_made(name: str) -> bool:
    return (HOME / name / "lock.sha256").exists()


def _make(name: str, lock: Path, place: Path) -> None:
    """Make the environment beside its place and rename it there: a killed set-up leaves nothing half done.

    --no-deps: the lock is complete, and says less than the packages' own lists where those ask for what is not used.
    """
    print(f"{name}: making its environment from {lock.relative_to(ROOT)}", file=sys.stderr, flush=True)
    new = place.with_name(f".{name}.new")
    shutil.rmtree(new, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    registry.uv("venv", "--quiet", "--relocatable", f"--python={base}", str(new))
    registry.uv(
        *("pip", "install", "--quiet", "--no-deps", "--require-hashes", f"--python={new / 'bin' / 'python'}"),
        *registry.uv_flags(),
        *package.links(lock.read_text()),
        *("-r", str(lock)),
    )
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)


def run(request: Request, environment: dict) -> None:
    """Become the stage. Does not return."""
    interpreter = python(request.stage.name)
    lock = hashlib.sha256(lock_file(request.stage.name).read_bytes()).hexdigest()
    hidden = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "FLAME_USERNAME", "FLAME_PASSWORD")  # no stage needs it
    env = {k: v for k, v in os.environ.items() if k not in hidden}
    env |= request.variables("local", request.subject.data.absolute(), assets.folder())
    env |= {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1"}
    env["AVATARMAKE_ENVIRONMENT"] = json.dumps({"engine": "local", "lock": lock, **environment})
    words = [str(interpreter), "-m", f"stages.{request.stage.name}", *request.words(request.subject.data)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(interpreter, words, env)
