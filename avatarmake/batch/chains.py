"""What is to run, in the shape that queues take: subjects that have the same stages before them, together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from avatarmake.batch.standing import TO_RUN, Row, State, options
from avatarmake.batch.subjects import stage_of
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Stage, load


@dataclass(frozen=True)
class Chain:
    """Subjects that are all to go through the same targets, one after the other. `shards`: of the one subject's."""

    targets: tuple[str, ...]
    rows: tuple[Row, ...]
    shards: int = 1


@dataclass(frozen=True)
class Work:
    """What jobs are made of. `common`: make target -> options of the command line; `cores`: of a job."""

    data: Path
    common: dict[str, list[str]]
    cores: int
    at_once: int  # of one stage; 0: as many as the queue lets

    @property
    def threads(self) -> dict[str, str]:
        """Variables that hold a job's libraries to its cores, where nobody else does."""
        return {f"{library}_NUM_THREADS": str(self.cores) for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}

    def stage(self, target: str, row: Row) -> Stage:
        return load(stage_of(target, Subject(self.data, row.line.id)))

    def words(self, target: str, row: Row, shard: str = "") -> list[str]:
        """The subject and its options, as `attempt` takes them; as many workers as the job has cores."""
        stage = self.stage(target, row)
        found = [row.line.id, *options(row.line, target, stage, self.common)]
        workers = [f"--workers={self.cores}"] if _has(stage, "workers") else []
        return found + workers + ([f"--shard={shard}"] if shard else [])


def chains(rows: Sequence[Row], work: Work, most: int) -> list[Chain]:
    """Chains of at most `most` subjects, in the list's order. A subject in shards has one of its own.

    Who runs or is queued already, is done, or failed for good is in none.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.first and row.first.state in TO_RUN and not in_queue(row):
            targets = tuple(s.target for s in row.stages[row.stages.index(row.first) :])
            tracked = "track" in targets and _has(work.stage("track", row), "shard")
            shards = row.line.shards if tracked else 1
            groups.setdefault((targets, shards, row.line.id if shards > 1 else ""), []).append(row)
    return [Chain(k[0], tuple(part), k[1]) for k, group in groups.items() for part in _parts(group, most)]


def in_queue(row: Row) -> bool:
    """Whether any of its stages runs or has its place in the queue."""
    return any(s.state in (State.RUNNING, State.QUEUED) for s in row.stages)


def _parts(rows: list[Row], most: int) -> Iterator[list[Row]]:
    return (rows[k : k + most] for k in range(0, len(rows), most))


def _has(stage: Stage, name: str) -> bool:
    return any(f.name == name for f in fields(stage.config))
