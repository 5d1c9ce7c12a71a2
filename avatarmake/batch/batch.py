"""`make batch` and `make status LIST=`: look where everybody stands, give the queue what it does not have, show it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avatarmake.batch import kubectl, kubernetes, needs, page, pool, slurm, subjects, table
from avatarmake.batch.chains import Chain, Work, chains
from avatarmake.batch.standing import Queue, Row, State, look, options
from avatarmake.batch.subjects import Line
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import chosen
from avatarmake.engine.readiness import make_ready, needed
from avatarmake.errors import Exit, StageError
from avatarmake.files.locking import Busy, locked
from avatarmake.limits import cores

QUEUES = ("local", "slurm", "k8s")
DEFAULT = "track convert train report"


@dataclass(frozen=True)
class Batch:
    """What was asked for. `common`: make target -> options of the command line."""

    list: Path
    data: Path
    targets: list[str]
    on: str
    common: dict[str, list[str]]
    at_once: int = 0
    cores: int = 0
    shards: int = 1
    claim: str = ""
    registry: str = ""

    def __post_init__(self):
        if self.on not in QUEUES:
            raise StageError(f"there is no queue '{self.on}'", next=f"ON is {', '.join(QUEUES)}", exit=Exit.USAGE)
        if min(self.at_once, self.cores) < 0 or self.shards < 1:
            raise StageError("AT_ONCE, CORES and SHARDS are 1 or more", exit=Exit.USAGE)
        if self.on == "k8s" and not self.claim:
            what = "nothing says which volume pods shall see"
            raise StageError(what, next="Name its PersistentVolumeClaim: CLAIM=avatars", exit=Exit.USAGE)

    @property
    def work(self) -> Work:
        """Jobs as the queue shall make them; on this machine as many as fit, which share its cores."""
        if self.on != "local":
            return Work(self.data, self.common, self.cores or 1, self.at_once)
        stages = map(self.stage, self.targets)
        wanted = (needs.of(stage, needs.receipts(self.data, stage.writes)).memory_mb for stage in stages)
        at_once = self.at_once or pool.at_once(wanted)
        return Work(self.data, self.common, self.cores or max(cores() // at_once, 1), at_once)

    @staticmethod
    def stage(target: str) -> Stage:
        """Of a subject that has no tracking yet."""
        return load(chosen(target, None))

    def queue(self) -> Queue:
        """What the queue has of it."""
        if self.on == "local":
            return {}
        return slurm.queue(self.work) if self.on == "slurm" else kubectl.queue(self.work)

    def lines(self) -> list[Line]:
        return subjects.read(self.list, self.targets, self.data, self.shards)

    def look(self, lines: list[Line]) -> list[Row]:
        return look(lines, self.targets, self.data, self.common, self.queue())


def joined(words: list[str]) -> list[str]:
    """Options as one word each: `--iterations 300` -> `--iterations=300`."""
    found: list[str] = []
    for word in words:
        if found and not word.startswith("--") and "=" not in found[-1]:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def targets(words: str) -> list[str]:
    """STAGES with those before them. Raises StageError for a name that is none."""
    asked = (words or DEFAULT).replace(",", " ").split()
    found = needed(asked)
    if unknown := [word for word in asked if word not in found]:
        raise StageError(f"there is no stage '{unknown[0]}'", next=f'Give STAGES="{DEFAULT}"', exit=Exit.USAGE)
    return found


def run(batch: Batch) -> int:
    """Run or submit what is to do, and show all. Returns an exit code: of a subject that failed, if any did."""
    lines = batch.lines()
    with _alone(batch.data):
        rows, work = batch.look(lines), batch.work
        todo = chains(rows, work, _most(batch.on))
        if code := _ready(batch, todo):
            return code
        if not todo:
            print("nothing to do", flush=True)
        elif batch.on != "local":
            _submit(batch, todo, work)
        else:
            page.write(rows, batch.list, batch.data)
            try:
                pool.run(todo, work)
            except KeyboardInterrupt:
                _show(batch, batch.look(lines))
                raise
        rows = batch.look(lines) if todo else rows
    _show(batch, rows)
    return max((_exit(row) for row in rows), default=Exit.OK)


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One batch of a volume at a time: two that submit at once would both find the queue empty."""
    data.mkdir(parents=True, exist_ok=True)
    try:
        with locked(data / ".batch.lock", wait=False):
            yield
    except Busy as e:
        what, next = "another `make batch` is at work on this volume", "Wait for it, or stop it"
        raise StageError(what, data, next, Exit.ENVIRONMENT) from e


def show(batch: Batch) -> int:
    """Where all subjects stand."""
    _show(batch, batch.look(batch.lines()))
    return Exit.OK


def _show(batch: Batch, rows: Sequence[Row]) -> None:
    table.show(rows, page.write(rows, batch.list, batch.data))


def _most(on: str) -> int:
    """How many subjects go together."""
    return slurm.most() if on == "slurm" else kubernetes.MOST


def _ready(batch: Batch, todo: Sequence[Chain]) -> int:
    """Make what the stages need before the first job starts. Pods bring their images along."""
    alike = {chain.targets: chain for chain in todo if batch.on != "k8s"}  # one for all that run the same stages
    for chain in alike.values():
        row = chain.rows[0]
        words = {target: options(row.line, target, batch.stage(target), batch.common) for target in batch.targets}
        if code := make_ready(Subject(batch.data, row.line.id), list(chain.targets), words):
            return code
    return Exit.OK


def _submit(batch: Batch, todo: Sequence[Chain], work: Work) -> None:
    if batch.on == "slurm":
        said = slurm.submit(todo, work)
    else:
        said = kubectl.submit(todo, work, kubernetes.Cluster(batch.claim, batch.registry))
    count = sum(len(chain.rows) for chain in todo)
    print(f"{count} subjects given to {batch.on}: {said}", flush=True)


def _exit(row: Row) -> int:
    return row.first.failure.get("exit", Exit.INTERNAL) if row.state in (State.FAILED, State.BROKEN) else Exit.OK
