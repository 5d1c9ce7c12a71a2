"""What a user gives as input, outside the shared volume: a file, a folder, or numbered files by a name like %05d.png.

Of a folder its own files count, not those in folders below it unless they are asked for, and not what a desktop leaves
in it.
"""

import errno
import os
import re
import stat
from pathlib import Path

from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_files, digest_path

LEFT_BY_DESKTOPS = {"thumbs.db", "desktop.ini"}
DEEPEST = 16  # folders below one another
NUMBER = re.compile(r"%(\d*)d")  # as FFmpeg writes one; %5d is %05d to it


def is_numbered(path: Path) -> bool:
    """Whether it stands for numbered files; a file that has such a name is just that."""
    return len(NUMBER.findall(path.name)) == 1 and not os.path.exists(path)


def place(path: Path) -> Path:
    """What is there on disk: the input itself, or the folder of numbered files."""
    return path.parent if is_numbered(path) else path


def files(path: Path) -> list[Path]:
    """The files that an input is made of, in natural order: 2 before 10, and numbered ones by number."""
    if is_numbered(path):
        before, digits, after = NUMBER.split(path.name)
        width = int(digits or 1)
        digit = rf"[0-9]{{{width}}}|[1-9][0-9]{{{width},}}"
        name = re.compile(re.escape(before) + f"({digit})" + re.escape(after))
        return sorted((p for p in _inside(path.parent) if name.fullmatch(p.name)), key=natural)
    return sorted(_inside(path), key=natural) if path.is_dir() else [path]


def natural(path: Path) -> tuple:
    """To sort names by: digits as numbers, letters whatever their case."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if i % 2 else part.lower() for i, part in enumerate(parts)], path.name


def check(path: Path, option: str) -> None:
    """Raises StageError where there is no such input, or where reading it would never end."""
    try:
        mode = place(path).stat().st_mode
    except OSError as e:
        missing = e.errno in (errno.ENOENT, errno.ENOTDIR)
        what = "there is no such file" if missing else f"cannot be read: {e.strerror}"
        raise StageError(what, path, f"Give an existing one: {option}=...", Exit.BAD_INPUT) from None
    kinds = {stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}
    kind = next((name for is_it, name in kinds.items() if is_it(mode)), None)
    if kind:
        what = f"is {kind}, and it is read more than once"
        raise StageError(what, path, f"Write it to a file first, and give that: {option}=...", Exit.BAD_INPUT)


def digest(path: Path, below: bool = False) -> str:
    """Of names and contents. `below`: of the folders below as well, links to folders included."""
    if below and path.is_dir():
        return digest_files(sorted(_all_inside(path)), path)
    return digest_files(files(path), place(path)) if is_numbered(path) or path.is_dir() else digest_path(path)


def _all_inside(folder: Path) -> list[Path]:
    """Raises StageError where a link leads round in a circle."""
    found = []
    for inside, folders, _ in os.walk(folder, followlinks=True):
        if len(Path(inside).relative_to(folder).parts) > DEEPEST:
            raise StageError("leads to folder after folder without end", inside, "Is there a link to itself in it?")
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += _inside(Path(inside))
    return found


def _inside(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_file()]
    return [folder / n for n in names if not n.startswith(".") and n.lower() not in LEFT_BY_DESKTOPS]
