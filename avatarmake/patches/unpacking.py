"""A tar's plain files on disk, and nothing else of it: no links, no devices, nothing outside the folder."""

import tarfile
from pathlib import Path, PurePosixPath

from avatarmake.errors import Exit, StageError


def unpack(archive: tarfile.TarFile, into: Path) -> None:
    """Write the files of `archive` below `into`. (tarfile's own filters are not in every Python 3.11.)"""
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise StageError(f"holds a file that would be written elsewhere: {name}", archive.name, exit=Exit.INTERNAL)
        if member.isfile():
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.extractfile(member).read())
