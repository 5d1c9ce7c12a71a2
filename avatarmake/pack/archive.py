"""A pack on disk: a tar in Zstandard's format whose first member, `pack.json`, lists all others by size and digest.

The same content makes the same bytes: names in order, no times, owners or modes of this host. What is read may come
from anybody: only plain files that the list names are written, with the sizes and digests that it gives, into a folder
that is new; and no more is taken in than it announces.
"""

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import zstandard

from avatarmake import host
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole

SUFFIX = ".avatarmake.tar.zst"
CONTENTS = "pack.json"
FORMAT = 1
LEVEL = 10
LIST_BYTES = 2**26  # of pack.json at most: some 400,000 files
WINDOW = 2**27  # bytes of memory that a pack may ask of its reader
ENTRY = 2**12  # bytes that a member takes in a tar besides its content, long names included, at most
Source = Path | bytes


def write(target: Path, about: dict, sources: dict[str, Source]) -> dict:
    """Write a pack of these files, name in it -> file or bytes; returns its list. Raises StageError.

    A file that changes meanwhile is found out.
    """
    files = {name: _size_and_digest(source) for name, source in sorted(sources.items())}
    listed = {"format": FORMAT, **about, "files": files}
    head = json.dumps(listed, indent=1, sort_keys=True).encode()
    with whole(target) as temporary, temporary.open("wb") as raw:
        with zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).stream_writer(raw, closefd=False) as packed:
            with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                _add(tar, CONTENTS, io.BytesIO(head), len(head))
                for name, (size, digest) in files.items():
                    with _opened(sources[name]) as f:
                        _add(tar, name, f, size)
                        f.seek(0)
                        if hashlib.file_digest(f, "sha256").hexdigest() != digest:
                            raise StageError("changed while it was packed", sources[name], "Pack it again")
    return listed


def read(path: Path) -> dict:
    """The list of a pack, and nothing else of it."""
    with _members(path) as members:
        return _list(path, next(members, None))


def unpack(path: Path, into: Path) -> dict:
    """Write all files of a pack below `into`, a new folder that appears whole; returns its list. Raises StageError."""
    new = into.with_name(f".{into.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        listed = _unpack(path, new)
        new.rename(into)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return listed


def _unpack(path: Path, into: Path) -> dict:
    with _members(path) as members:
        listed = _list(path, next(members, None))
        files, met = listed["files"], set()
        needed = sum(size for size, _ in files.values())
        if needed > host.disk_free(into):
            what = f"holds {host.size(needed)}, and {host.size(host.disk_free(into))} are free"
            raise StageError(what, path, "Take another DATA=", Exit.ENVIRONMENT)
        into.mkdir(parents=True)
        for member, content in members:
            if member.name in met or member.name not in files or files[member.name][0] != member.size:
                raise _damaged(path, f"{member.name} is not what its list says")
            met.add(member.name)
            place = into / member.name
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as out:
                shutil.copyfileobj(content, out)
            if _size_and_digest(place)[1] != files[member.name][1]:
                raise _damaged(path, f"{member.name} is not what its list says")
        if met != files.keys():
            raise _damaged(path, f"{len(files.keys() - met)} of its files are missing")
    return listed


@contextmanager
def _members(path: Path) -> Iterator[Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase]]]:
    """The plain files of a pack, one after the other."""
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(raw) as stream:
            bounded = Bounded(stream)
            with tarfile.open(fileobj=bounded, mode="r|") as tar:
                yield _plain(path, tar, bounded)
    except FileNotFoundError as e:
        raise StageError("there is no such file", path, "Give an existing one: PACK=...") from e
    except (zstandard.ZstdError, tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as e:
        raise _damaged(path, str(e)) from e


def _plain(path: Path, tar: tarfile.TarFile, bounded: "Bounded") -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase]]:
    for member in tar:
        name = PurePosixPath(member.name)
        if not member.isreg() or member.sparse or name.is_absolute() or ".." in name.parts or str(name) != member.name:
            raise _damaged(path, f"{member.name!r} is no plain file below it")
        content = tar.extractfile(member)
        if member.name == CONTENTS and member.size <= LIST_BYTES:
            said = content.read()
            bounded.left += sum(size + ENTRY for size, _ in _list(path, (member, io.BytesIO(said)))["files"].values())
            content = io.BytesIO(said)
        yield member, content


class Bounded(io.RawIOBase):
    """A stream that may give so much and no more: at first the list of files, then what that announces."""

    def __init__(self, stream):
        self.stream, self.left = stream, LIST_BYTES + 2**16

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        got = self.stream.read(count if 0 <= count < self.left else self.left + 1)
        self.left -= len(got)
        if self.left < 0:
            raise ValueError("more comes out of it than its list announces")
        return got


def _list(path: Path, first: tuple[tarfile.TarInfo, io.BufferedIOBase] | None) -> dict:
    """What pack.json says, when it is what it should be."""
    if first is None or first[0].name != CONTENTS or first[0].size > LIST_BYTES:
        raise StageError("is no pack of `make pack`", path, exit=Exit.BAD_INPUT)
    said = json.loads(first[1].read())
    first[1].seek(0)
    if not isinstance(said, dict) or not isinstance(said.get("format"), int):
        raise _damaged(path, f"{CONTENTS} says no format")
    if said["format"] > FORMAT:
        what = f"is a pack of format {said['format']}; this avatarmake reads up to {FORMAT}"
        raise StageError(what, path, "Take a newer one")
    files = said.get("files")
    if not isinstance(files, dict) or not all(_is_entry(entry) for entry in files.values()):
        raise _damaged(path, f"{CONTENTS} lists no files")
    return said


def _is_entry(entry: object) -> bool:
    """[size, sha256]"""
    if not isinstance(entry, list) or len(entry) != 2:
        return False
    size, digest = entry
    return type(size) is int and size >= 0 and isinstance(digest, str) and bool(re.fullmatch("[0-9a-f]{64}", digest))


def _add(tar: tarfile.TarFile, name: str, content: io.BufferedIOBase, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    try:
        tar.addfile(entry, content)
    except OSError as e:
        if e.errno is not None:  # tarfile says by an OSError without a number that a file has become shorter
            raise
        raise StageError("changed while it was packed", name, "Pack it again") from e


@contextmanager
def _opened(source: Source) -> Iterator[io.BufferedIOBase]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as f:
        yield f


def _size_and_digest(source: Source) -> list:
    with _opened(source) as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
        return [f.seek(0, io.SEEK_END), digest]


def _damaged(path: Path, why: str) -> StageError:
    return StageError(f"is damaged, or no pack: {why}", path, "Get it anew", Exit.BAD_INPUT)
