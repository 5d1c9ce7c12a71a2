"""A file appears whole or not at all."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a temporary name beside `path`, renamed when the block ends well.

    The name is nobody else's: two shards, in containers of their own, may write the same file at once.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new{path.suffix}")
    try:
        yield temporary
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
