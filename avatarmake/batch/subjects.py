"""The list of a batch: a CSV with the columns id, video and options, one subject a line.

    id,video,options
    roman,films/roman.mp4,
    anna,films/anna.mov,FPS=25 PERSON=left
    long,/films/an hour.mp4,SHARDS=8 ITERATIONS=9000

An option is a stage's, by the name that `make help/<stage>` lists, in capitals; it goes to every stage that has it.
SHARDS is how many jobs share the subject's tracking. A video's path is as seen from the list's folder.
"""

import csv
import io
import shlex
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import chosen
from avatarmake.errors import Exit, StageError

COLUMNS = ("id", "video", "options")
SHARDS = "SHARDS"
# what is asked by the batch itself, or changes no result and is as the job's cores are
RESERVED = {"VIDEO", "SHARD", "WORKERS"}


@dataclass(frozen=True)
class Line:
    """A subject of the list. `options`: name in capitals -> value, as typed."""

    id: str
    video: Path | None = None
    options: dict[str, str] = field(default_factory=dict)
    shards: int = 1

    def words(self, stage: Stage) -> list[str]:
        """Its options on the stage's command line."""
        named = {f.name.upper(): f for f in fields(stage.config)}
        given = [_word(named[name], value) for name, value in self.options.items() if name in named]
        video = self.video is not None and "VIDEO" in named
        return [f"--video={self.video}", *given] if video else given


def read(path: Path, targets: list[str], data: Path, shards: int = 1) -> list[Line]:
    """The lines of a list. Raises StageError, with the line's number, for what cannot be meant.

    `targets`: the make targets of the batch; an option must be one of their stages'. `shards`: where a line has none.
    """
    text = _text(path)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [(name or "").strip().lower() for name in rows.fieldnames or []]
        if "id" not in header or set(header) - set(COLUMNS):
            what = f"its first line is '{text.splitlines()[0] if text.strip() else ''}'"
            raise _fault(path, 1, what, f"Columns are {', '.join(COLUMNS)}; id must be there")
        rows.fieldnames = header
        found: dict[str, Line] = {}
        for row in rows:
            line = _line(row, path, rows.line_num, targets, data, shards)
            # some file systems take Roman and roman for the same folder
            if line.id.lower() in found:
                raise _fault(path, rows.line_num, f"{line.id} is there twice", "A subject has one line")
            found[line.id.lower()] = line
    except csv.Error as e:
        raise _fault(path, rows.line_num, f"is no CSV: {e}", "A value with a comma stands in double quotes") from e
    if not found:
        raise StageError("names no subject", path, "Write a line for each: id,video,options", Exit.USAGE)
    return list(found.values())


def _text(path: Path) -> str:
    if not path.name:
        raise StageError("no list of subjects is given", next="Type: make batch LIST=subjects.csv", exit=Exit.USAGE)
    try:
        return path.read_text(encoding="utf-8-sig")  # as spreadsheets write it
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as e:
        raise StageError("there is no such file", path, "Type: make batch LIST=subjects.csv", Exit.USAGE) from e
    except UnicodeDecodeError as e:
        raise StageError("is no text in UTF-8", path, "Save it as CSV, in UTF-8", Exit.USAGE) from e


def _line(row: dict[str, Any], path: Path, number: int, targets: list[str], data: Path, most: int) -> Line:
    if None in row:
        raise _fault(path, number, "has more values than there are columns", "Options are parted by spaces")
    cells = {name: (value or "").strip() for name, value in row.items()}
    try:
        subject = Subject(data, cells["id"])
        words = shlex.split(cells.get("options", ""))
    except StageError as e:
        raise _fault(path, number, e.what, e.next) from e
    except ValueError as e:
        raise _fault(path, number, f"its options cannot be read: {e}", "Close the quotes") from e
    options = dict(word.partition("=")[::2] for word in words)
    if wrong := [word for word in words if "=" not in word]:
        raise _fault(path, number, f"'{wrong[0]}' is no option", "Write NAME=value: FPS=25")
    shards = options.pop(SHARDS, str(most))
    if not shards.isdecimal() or not 1 <= int(shards) <= 1000:
        raise _fault(path, number, f"SHARDS is '{shards}'", "Give a number of 1 to 1000")
    video = (path.parent / Path(cells["video"]).expanduser()).absolute() if cells.get("video") else None
    line = Line(subject.name, video, options, int(shards))
    _check(line, [load(stage_of(target, subject)) for target in targets], path, number)
    return line


def stage_of(target: str, subject: Subject) -> str:
    """The stage behind a make target: `track` may be either tracker."""
    return chosen(target, subject)


def _check(line: Line, stages: list[Stage], path: Path, number: int) -> None:
    """Raises StageError for an option that no stage has, or that none takes the value of."""
    known = {f.name.upper() for stage in stages for f in fields(stage.config)} - RESERVED
    if unknown := [name for name in line.options if name not in known]:
        names = ", ".join(sorted(known | {SHARDS}))
        raise _fault(path, number, f"no stage has an option {unknown[0]}", f"There are: {names}")


def _fault(path: Path, number: int, what: str, next: str) -> StageError:
    return StageError(f"line {number}: {what}", path, next, Exit.USAGE)


def _word(f, value: str) -> str:
    flag = f.name.replace("_", "-")
    if isinstance(f.default, bool):
        return f"--no-{flag}" if value in ("0", "no", "false") else f"--{flag}"
    return f"--{flag}={value}"
