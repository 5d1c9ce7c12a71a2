"""Where each subject of a list stands, found out anew each time: by receipts, notes of who is at work, and the queue.

A receipt says what is done, as for `make`. A failure leaves one too (attempt.py), which counts as long as another try
would be the same one. Whoever works leaves a note beside the directory (contract/presence.py). The queue says what
waits for its turn. What none of them speaks of is to do, so a kill at any moment leaves nothing to be cleared up.
"""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import cyclopts

from avatarmake.assets import need_one
from avatarmake.batch import attempt
from avatarmake.batch.subjects import Line, stage_of
from avatarmake.contract.key import changes, code_digest, need_inputs
from avatarmake.contract.layout import Subject
from avatarmake.contract.presence import at_work
from avatarmake.contract.receipts import RECEIPT, receipt
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import request
from avatarmake.errors import Exit, StageError
from avatarmake.files.faults import explained
from avatarmake.limits import cores

TOGETHER = 64  # subjects that one process looks at; fewer are not worth starting others


class State(StrEnum):
    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"
    FAILED = "failed"  # another try would be the same: something has to be changed
    BROKEN = "to be tried again"  # it failed by what may have passed: a full disk, a lost host
    STOPPED = "stopped"  # a part of it is there, and a run goes on from it
    TO_DO = "to do"
    WAITS = "waits"  # for the stage before it


# what needs somebody comes first
ORDER = (State.FAILED, State.BROKEN, State.STOPPED, State.RUNNING, State.QUEUED, State.WAITS, State.TO_DO, State.DONE)
TO_RUN = (State.BROKEN, State.STOPPED, State.TO_DO)


@dataclass(frozen=True)
class Standing:
    """One stage of one subject. `why`: the reason of a failure, who runs it, what has changed."""

    target: str  # the make target
    state: State
    why: str = ""
    stamp: dict = field(default_factory=dict)  # the receipt of what is there, which may be an older one
    failure: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One subject. `stages`: in pipeline order."""

    line: Line
    stages: tuple[Standing, ...]

    @property
    def first(self) -> Standing | None:
        """What stands between it and its end; None where all is done."""
        return next((s for s in self.stages if s.state != State.DONE), None)

    @property
    def state(self) -> State:
        return self.first.state if self.first else State.DONE

    def stamp(self, target: str) -> dict:
        return next((s.stamp for s in self.stages if s.target == target), {})


# (subject, stage) -> whether one of its jobs runs, and where or what it waits for
Queue = dict[tuple[str, str], tuple[State, str]]


def look(lines: list[Line], targets: list[str], data: Path, common: dict[str, list[str]], queue: Queue) -> list[Row]:
    """Where all subjects stand. `common`: make target -> options of the command line, for every subject."""
    task = partial(_row, targets=targets, data=data, common=common, queue=queue)
    count = min(cores(), -(-len(lines) // TOGETHER))
    if count < 2:
        return list(map(task, lines))
    with ProcessPoolExecutor(count, get_context("forkserver")) as pool:
        return list(pool.map(task, lines, chunksize=-(-len(lines) // (4 * count))))  # the queue goes with each


def options(line: Line, target: str, stage: Stage, common: dict[str, list[str]]) -> list[str]:
    """A stage's options for a subject: the line's, and of the command line's those that it does not set itself."""
    own = line.words(stage)
    return [word for word in common.get(target, []) if _flag(word) not in map(_flag, own)] + own


def _flag(word: str) -> str:
    return word.partition("=")[0].removeprefix("--no-").removeprefix("--")


def _row(line: Line, targets: list[str], data: Path, common: dict[str, list[str]], queue: Queue) -> Row:
    subject, found = Subject(data, line.id), []
    for target in targets:
        blocked = any(s.state != State.DONE for s in found)
        found.append(_standing(line, subject, target, common, queue, blocked))
    return Row(line, tuple(found))


def _standing(
    line: Line, subject: Subject, target: str, common: dict[str, list[str]], queue: Queue, blocked: bool
) -> Standing:
    stage, stamp = load(stage_of(target, subject)), {}
    say = partial(Standing, target)
    try:
        words = [line.id, f"--data={subject.data}", *options(line, target, stage, common)]
        place = stage.place(request.unresolved(stage, words, quiet=True).config) if stage.part else stage.writes
        stamp = receipt(subject.directory(place)) or {}
        queued = queue.get((line.id, target), (None, ""))
        if queued[0] in (State.RUNNING, State.QUEUED):
            return say(*queued, stamp)
        if who := at_work(subject.root, place):
            return say(State.RUNNING, who[0], stamp)
        if blocked:
            return say(State.WAITS, "", stamp)
        asked = request.parse(stage, _unread(words, stage, subject), quiet=True)
        state, why, failure = _found(asked, place, stamp)
        if queued[0] and state != State.DONE:
            code = Exit.BAD_INPUT if queued[0] == State.FAILED else Exit.ENVIRONMENT
            return say(*queued, stamp, {"exit": int(code), "said": queued[1], "stage": stage.name})
        return say(state, why, stamp, failure)
    except StageError as e:
        return say(State.FAILED, str(e), stamp, {"exit": int(e.exit), "said": str(e), "stage": stage.name})
    except OSError as e:  # another user's data: one subject's trouble
        said = f"{e.filename or subject.root}: {explained(e)}"
        return say(State.FAILED, said, stamp, {"exit": int(Exit.ENVIRONMENT), "said": said, "stage": stage.name})
    except cyclopts.CycloptsError as e:
        said = " ".join(str(e).split())
        return say(State.FAILED, said, stamp, {"exit": int(Exit.USAGE), "said": said, "stage": stage.name})


def _found(asked: request.Request, place: str, stamp: dict) -> tuple[State, str, dict]:
    """What receipts say of a stage whose inputs are there: state, why, and the failure's own receipt.

    Raises StageError for what the host knows beforehand to be missing.
    """
    subject, failed, parts, why = asked.subject, attempt.failure(asked.subject, place), {}, ""
    if stamp or failed:
        parts = asked.parts(_code)
        changed = changes(parts, stamp)
        if stamp.get("stage") == asked.stage.name and not changed:
            return State.DONE, "", {}  # by its receipt: its files, thousands a subject, are not looked for
        why = f"changed: {'; '.join(changed)}" if stamp else ""
    else:
        need_inputs(asked.config)  # a video is not read to learn that it is to be read
    for names in asked.stage.needs(asked.config):
        need_one(names)
    if failed and failed["exit"] in attempt.AGAIN:
        return State.BROKEN, failed["said"], failed
    if failed and not changes(parts, failed):
        return State.FAILED, failed["said"], failed
    if subject.partial(place).exists():
        return State.STOPPED, "part of it is there; a run goes on from it", {}
    return State.TO_DO, why, {}


_code = cache(code_digest)  # nobody edits sources while it is looked at thousands of subjects


def _unread(words: list[str], stage: Stage, subject: Subject) -> list[str]:
    """Options without the videos that a finished run has read and nobody has touched since.

    What is remembered counts as unchanged without being read; given again, a hundred terabytes were read to learn that
    nothing is to be done. A file's change time nobody can set, and it is the volume's clock, as is the receipt's.
    """
    done = subject.directory(stage.writes) / RECEIPT
    inputs = {f.name for f in fields(stage.config) if f.metadata.get("input")}
    kept = []
    for word in words:
        name, path = _flag(word).replace("-", "_"), Path(word.partition("=")[2])
        if name in inputs and done.exists() and path.is_file():
            remembered = (receipt(done.parent) or {}).get("environment", {}).get("options", {})
            if remembered.get(name) == word and path.stat().st_ctime < done.stat().st_mtime:
                continue
        kept.append(word)
    return kept


def count(rows: Iterable[Row]) -> dict[State, int]:
    """How many subjects are in each state, in the order of State; only states that some are in."""
    states = [row.state for row in rows]
    return {state: states.count(state) for state in State if state in states}


def in_order(rows: Iterable[Row]) -> list[Row]:
    """As a person wants to see them: what needs somebody, what is under way, what is done; each in the list's order."""
    return sorted(rows, key=lambda row: ORDER.index(row.state))
