"""One stage of one subject as a job of a batch runs it: `python -m avatarmake attempt track roman --data=D [options]`.

What the stage says goes to data/<ID>/.batch.log. Where it fails, data/<ID>/.<directory>.failed says what it was about
and why: a receipt of a run that came to nothing, by which later batches know a bad video without trying it again. It
goes when the stage is tried again. A run that is stopped (Ctrl-C, scancel, a host that goes down) leaves none.
"""

import contextlib
import json
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import cyclopts

from avatarmake import ROOT
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import chosen, request
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole

LOG = ".batch.log"
MEMORY = "AVATARMAKE_MEMORY_MB"  # what the job was given, in its environment
KILLED = 128 + signal.SIGKILL
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
AGAIN = (Exit.INTERNAL, Exit.ENVIRONMENT, KILLED)  # exit codes of what may have passed by the next try
TRIES = 3


def attempt(target: str, name: str, options: list[str], data: Path, variables: dict[str, str]) -> int:
    """Run it, keep what it says, leave a receipt of its failure. Returns its exit code; 128 + n for signal n.

    `variables`: the environment; MEMORY among them is what the job was given, in MB.
    """
    subject = Subject(data, name)
    stage = load(chosen(target, subject))
    words = [name, f"--data={data}", *options]
    subject.root.mkdir(parents=True, exist_ok=True)
    place = _place(stage, words)
    _failed(subject, place).unlink(missing_ok=True)
    with (subject.root / LOG).open("ab") as log:
        begins = log.tell()
        log.write(f"=== {target}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}, {platform.node()}\n".encode())
        log.flush()
        command = [sys.executable, "-m", "avatarmake", "run", target, *words]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        code = subprocess.run(command, cwd=ROOT, env=variables, **quiet).returncode
    code = 128 - code if code < 0 else code
    if code not in (Exit.OK, *STOPPED):
        said = _last_line(subject.root / LOG, begins).removeprefix(f"{stage.name}: ")
        said = "killed: most likely it was out of memory" if code == KILLED else said
        memory_mb = int(variables.get(MEMORY) or 0)
        _leave(subject, place, stage, words, {"exit": code, "said": said, "memory_mb": memory_mb})
    return code


def failure(subject: Subject, place: str) -> dict | None:
    """What a failed run left: exit, said, parts, memory_mb (0: not known). None where there is none, or it is torn."""
    with contextlib.suppress(OSError, ValueError):
        left = json.loads(_failed(subject, place).read_text())
        if isinstance(left, dict) and isinstance(left.get("exit"), int) and isinstance(left.get("said"), str):
            return left
    return None


def _failed(subject: Subject, place: str) -> Path:
    name = place.replace("/", ".")  # drives/anna
    return subject.root / f".{name}.failed"


def _place(stage: Stage, words: list[str]) -> str:
    """The directory it writes; for options that cannot be read, the one where it writes all of them."""
    with contextlib.suppress(StageError, cyclopts.CycloptsError):
        return stage.place(request.unresolved(stage, words, quiet=True).config)
    return stage.writes


def _leave(subject: Subject, place: str, stage: Stage, words: list[str], how: dict) -> None:
    parts = {}
    with contextlib.suppress(StageError, cyclopts.CycloptsError, OSError):
        parts = request.parse(stage, words, quiet=True).parts()
    left = {
        "stage": stage.name,
        "subject": subject.name,
        **how,
        "parts": parts,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": platform.node(),
    }
    with whole(_failed(subject, place)) as temporary:
        temporary.write_text(json.dumps(left, indent=1))


def _last_line(log: Path, begins: int) -> str:
    """The last line that a run wrote: the error's, or an exception's."""
    with log.open("rb") as f:
        f.seek(max(begins, log.stat().st_size - 16384))
        lines = [line.strip() for line in f.read().decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")[:1000]
