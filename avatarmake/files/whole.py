"""A file appears whole or not at all."""

import contextlib
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

TORN = re.compile(r"\.[0-9a-f]{16}\.new(\.\w{1,8})?")  # names of files that a kill left half written, and of no others


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a temporary name beside `path`, renamed when the block ends well.

    The name is nobody else's: two shards, in containers of their own, may write the same file at once. It ends as
    `path` does, for those who go by that, and is short whatever `path` is: a file's name has 255 bytes at most.
    """
    suffix = path.suffix if re.fullmatch(r"\.\w{1,8}", path.suffix) else ""
    temporary = path.with_name(f".{secrets.token_hex(8)}.new{suffix}")
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
