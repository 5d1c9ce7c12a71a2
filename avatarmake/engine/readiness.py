"""Before the first stage runs: what all that were asked for need, made or fetched now, and what cannot be had.

Nobody should wait through four stages to learn that the fifth has no PyTorch.
"""

import sys

from avatarmake import patches
from avatarmake.assets import need_one
from avatarmake.contract.key import need_inputs
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import IMPORTER, WRITER
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import apptainer, choose, chosen, docker, request
from avatarmake.environments import platforms, venv
from avatarmake.errors import Exit, StageError

# engine -> whether a stage's environment or image is there and of the present sources, and what makes it so
MADE = {
    "local": lambda stage, kind: venv.is_current(stage, kind),
    "docker": lambda stage, kind: docker.is_current(stage, kind),
    "podman": lambda stage, kind: docker.is_current(stage, kind),
    "apptainer": lambda stage, kind: False,  # looked at each time; converting is done once
}
MAKE = {
    "local": lambda stage, kind: venv.python(stage, kind),
    "docker": lambda stage, kind: docker.build(stage, kind=kind),
    "podman": lambda stage, kind: docker.build(stage, kind=kind),
    "apptainer": lambda stage, kind: apptainer.prepared(stage, kind),
}


def make_ready(subject: Subject, goals: list[str], options: dict[str, list[str]]) -> int:
    """Make the environments or images of `goals` and of the stages before them. Returns an exit code.

    `options`: make target -> the options that make calls it with. A stage that is done needs nothing. What cannot be
    had is one line a stage; the first one's exit code is returned.
    """
    faults = []
    stages = {target: load(chosen(target, subject)) for target in needed(goals)}
    for target, stage in stages.items():
        words = [subject.name, f"--data={subject.data}", *options.get(target, [])]
        if stage is [*stages.values()][0] and (asked := request.parse(stage, words)):  # a wrong path costs no set-up
            need_inputs(asked.config)
        if fault := _fault(stage, words):
            faults.append(fault)
            print(f"{stage.name}: {_line(fault)}", file=sys.stderr, flush=True)
    return faults[0].exit if faults else Exit.OK


def needed(goals: list[str]) -> list[str]:
    """The make targets that `goals` bring in, themselves included, in pipeline order. A demo's `source` is no goal."""
    wanted = set(goals)
    for target in reversed(WRITER.values()):
        if target in wanted:
            wanted |= {WRITER[directory] for directory in load(target).reads}
    if IMPORTER in wanted:
        wanted -= {"frames", "track"}  # no kind of data lacks what these two write
    return [target for target in (IMPORTER, *WRITER.values()) if target in wanted]


def _fault(stage: Stage, words: list[str]) -> StageError | None:
    """What the stage cannot do without and cannot get, or None; its environment or image is made on the way."""
    try:
        asked = request.unresolved(stage, words)
        engine, _, kind = choose(stage.name, getattr(asked.config if asked else None, "device", "auto"))
        made = MADE[engine](stage.name, kind.name)
        if asked is None or not made and _is_done(stage, words):
            return None
        for names in stage.needs(asked.config):
            need_one(names)
        if stage.upstream:
            patches.prepare(stage.upstream)
        if engine == "local":
            platforms.check(stage.name)
        MAKE[engine](stage.name, kind.name)
    except StageError as e:
        return None if _is_done(stage, words) else e
    return None


def _is_done(stage: Stage, words: list[str]) -> bool:
    """Whether it has nothing to do. Not while a stage before it is still to run."""
    try:
        asked = request.parse(stage, words)
        return asked is not None and asked.state()[0] and not asked.again
    except StageError:
        return False


def _line(fault: StageError) -> str:
    """The fault in one line: of a tool's many, the one that names the cause."""
    lines = [line.strip() for line in fault.what.splitlines() if line.strip()]
    cause = next((line for line in lines if line.startswith("cause:")), lines[0]).removeprefix("cause: ")
    return str(StageError(cause.rstrip("."), fault.where, fault.next))
