"""Zip archives whose sizes are not believed: a broken or hostile one is a BadZipFile, and takes no memory first.

zipfile itself raises half a dozen kinds of errors for broken archives, and makes room for what a member says it has.
Standard library alone: the host reads archives too.
"""

import errno
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ZIP = b"PK\x03\x04"  # how one begins


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Raises zipfile.BadZipFile for what is no zip, and OSError for what cannot be read at all."""
    with _broken():
        archive = zipfile.ZipFile(path)
    with archive:
        yield archive


def read(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """A member, of at most so many bytes. Raises zipfile.BadZipFile; KeyError where there is none of that name."""
    info = archive.getinfo(name)
    there = os.fstat(archive.fp.fileno()).st_size
    if info.flag_bits & 1:
        raise zipfile.BadZipFile(f"{name} asks for a password")
    if info.compress_size > there or info.file_size > largest:
        raise zipfile.BadZipFile(f"{name} says that it has {info.file_size} bytes, in an archive of {there}")
    with _broken():
        return archive.read(info)


@contextmanager
def _broken() -> Iterator[None]:
    """What zipfile raises for broken bytes, as one error; what the system raises, as it is."""
    try:
        yield
    except (zipfile.BadZipFile, KeyError, MemoryError):
        raise
    except OSError as e:
        if e.errno not in (None, errno.EINVAL):  # of a place before the file's beginning
            raise
        raise zipfile.BadZipFile(str(e)) from e
    except Exception as e:  # struct.error, zlib.error, lzma's, NotImplementedError, EOFError ...
        raise zipfile.BadZipFile(f"{type(e).__name__}: {e}") from e
