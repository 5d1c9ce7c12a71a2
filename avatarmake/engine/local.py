"""The local engine: one virtual environment per stage at .venv/<stage>, from the stage's own lock file.

For laptops and pods where no Docker daemon runs. The stage replaces this process: signals and exit codes are its own.
"""

import hashlib
import json
import os
import sys

from avatarmake import ROOT, assets
from avatarmake.engine.request import Request
from avatarmake.environments import venv


def run(request: Request, environment: dict) -> None:
    """Become the stage. Does not return."""
    interpreter = venv.python(request.stage.name)
    lock = hashlib.sha256(venv.lock_file(request.stage.name).read_bytes()).hexdigest()
    hidden = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "FLAME_USERNAME", "FLAME_PASSWORD")  # no stage needs it
    env = {k: v for k, v in os.environ.items() if k not in hidden}
    env |= request.variables("local", request.subject.data.absolute(), assets.folder())
    env |= {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1"}
    env["AVATARMAKE_ENVIRONMENT"] = json.dumps({"engine": "local", "lock": lock, **environment})
    words = [str(interpreter), "-m", f"stages.{request.stage.name}", *request.words(request.subject.data)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(interpreter, words, env)
