"""The stage contract: what every stage declares, and what one run of it is given.

A stage reads the directories of others and writes exactly one of its own. What holds it to that, a room each:
key.py says what a result depends on, execution.py runs a stage unless it is done, publication.py makes its directory
appear whole or not at all and in the place of nothing that is not its own (ownership.py), receipts.py reads what it
says of itself, presence.py keeps two hosts apart, command.py is its command line.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.publication import begun
from avatarmake.errors import Exit, StageError


@dataclass(frozen=True)
class Stage:
    """What `stages/<name>/__init__.py` declares, with the standard library only: the host reads it too."""

    name: str  # the make target, the package, the image, the folder of tests
    summary: str  # one line, for help
    reads: tuple[str, ...]  # directories of other stages
    writes: str  # its own directory
    config: type  # dataclass: each field is an option of the stage's command line
    gpu: str = "none"  # none | optional
    # (subject, config) -> config with what was not given filled in from the subject (its own video), before the key
    resolve: Callable[[Subject, Any], Any] = lambda subject, config: config
    upstream: str = ""  # a patch set (patches/<upstream>/): the stage runs the user's checkout of it, patched
    # config -> names of the assets (assets.toml) that it reads where they are there; their content is part of the key
    assets: Callable[[Any], tuple[str, ...]] = lambda config: ()
    # config -> assets without which it cannot run, one of each tuple: looked for before an image is built or work begun
    needs: Callable[[Any], tuple[tuple[str, ...], ...]] = lambda config: ()
    # a flag of its config with which it takes over what others put into its directory: it keeps the content of all of
    # that in its new one. Without it they are refused
    adopts: str = ""
    uses: tuple[str, ...] = ()  # packages of other stages that it imports, and whose edits are therefore its own
    # config -> the name of one of several directories that it writes beside each other, `anna` of drives/anna. Each is
    # whole or not at all by itself, with a receipt of its own; a run touches no other
    part: Callable[[Any], str] | None = None
    # config -> (subject, directory) of other subjects that it reads; their content is part of the key
    borrows: Callable[[Any], tuple[tuple[str, str], ...]] = lambda config: ()
    # config -> directories of this subject that it reads besides: `drives/anna`, where its options name it
    also: Callable[[Any], tuple[str, ...]] = lambda config: ()
    # directories of other stages that it may fill, as folders of its own while it works -> what each of them is made of
    # among themselves. Each gets its place and a receipt with which its own stage has nothing to do (key.py, standing)
    brings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def place(self, config: Any) -> str:
        """The directory that a run with this config writes: `tracking`, `drives/anna`."""
        return f"{self.writes}/{self.part(config)}" if self.part else self.writes

    def places(self, subject: Subject) -> list[str]:
        """All that it has written for a subject, or begun to: `tracking`; `drives/anna`, `drives/tour`."""
        if not self.part:
            return [self.writes] if self.writes else []
        return [f"{self.writes}/{name}" for name in begun(subject.directory(self.writes))]


def option(
    default: Any, help: str, *, key: bool = True, input: bool = False, below: bool = False, again: bool = False
) -> Any:
    """A field of a stage's config. `key=False`: does not change the result (workers, progress).

    `again=True`: a flag that asks for work on what is there (an audit), so the stage runs even if its key is unchanged.

    `input=True`: a Path outside the shared volume (a video, a folder of label maps); its content is part of the key,
    and the docker engine mounts it read-only. `below=True`: the folders below it count as well.
    """
    return field(default=default, metadata={"help": help, "key": key, "input": input, "below": below, "again": again})


@dataclass
class Job:
    """One run of a stage: where it reads, where it writes, what it was asked for."""

    stage: Stage
    subject: Subject
    config: Any
    out: Path  # write here and nowhere else; it becomes the stage's directory when run() returns
    resumed: bool = False  # `out` holds what a killed run with the same key left
    theirs: tuple[str, ...] = ()  # files in the stage's directory that it did not make; `""`: none of it

    def read(self, directory: str) -> Path:
        """The directory of another stage that this one declared in `reads` or `also`."""
        declared = (*self.stage.reads, *self.stage.also(self.config))
        assert directory in declared, f"{self.stage.name} does not declare {directory}"
        return self.subject.directory(directory)

    def borrow(self, subject: str, directory: str) -> Path:
        """The directory of another subject that the stage declared in `borrows`."""
        declared = self.stage.borrows(self.config)
        assert (subject, directory) in declared, f"{self.stage.name} does not declare {subject}/{directory}"
        return Subject(self.subject.data, subject).directory(directory)

    def progress(self, items: Iterable, total: int | None = None, label: str = "") -> Iterator:
        """Iterate with a progress bar; on one that is not a terminal, a line now and then."""
        from avatarmake.contract.progress import progress

        return progress(items, total, label or self.stage.name)


def load(name: str) -> Stage:
    """What stages/<name>/__init__.py declares. Raises StageError for a name that is no stage."""
    if name not in STAGES:
        raise StageError(f"there is no stage '{name}'", next=f"Stages: {', '.join(STAGES)}", exit=Exit.USAGE)
    return importlib.import_module(f"stages.{name}").STAGE
