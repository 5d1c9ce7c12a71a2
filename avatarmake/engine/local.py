"""The local engine: one virtual environment per stage and kind, from the stage's own lock file for it.

For laptops and pods where no Docker daemon runs. The stage replaces this process: signals and exit codes are its own.
"""

import hashlib
import json
import os
import sys

from avatarmake import ROOT, assets
from avatarmake.contract.kinds import CPU
from avatarmake.engine.kind import NO_CHOICE, Kind
from avatarmake.engine.request import Request
from avatarmake.environments import venv


def run(request: Request, environment: dict, kind: Kind = NO_CHOICE) -> None:
    """Become the stage. Does not return."""
    lock = hashlib.sha256(venv.lock_file(request.stage.name, kind.name).read_bytes()).hexdigest()
    variables = request.variables("local", request.subject.data.absolute(), assets.folder(), kind)
    variables["AVATARMAKE_ENVIRONMENT"] = json.dumps({"engine": "local", "lock": lock, **environment})
    become(request.stage.name, request.words(request.subject.data), variables, kind.name)


def become(name: str, argv: list[str], variables: dict[str, str], kind: str = CPU) -> None:
    """Replace this process by `python -m stages.<name>` in its own environment. Does not return."""
    interpreter = venv.python(name, kind)
    hidden = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "FLAME_USERNAME", "FLAME_PASSWORD")  # no stage needs it
    env = {k: v for k, v in os.environ.items() if k not in hidden} | variables
    env |= {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(interpreter, [str(interpreter), "-m", f"stages.{name}", *argv], env)
