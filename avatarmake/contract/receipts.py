"""What a finished directory says of itself: `stage.json`, and in `SHA256SUMS` every file with its digest.

stage.json is stamp, manifest and receipt in one. It has the digest of SHA256SUMS, so the two stand for each other.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.files.faults import explained

RECEIPT = "stage.json"
SUMS = "SHA256SUMS"
# of a receipt, what readers go by
PARTS = {"outputs": dict, "facts": dict, "parts": dict, "environment": dict, "config": dict, "stage": str, "key": str}


def receipt(directory: Path) -> dict | None:
    """stage.json of a finished directory, or None. Raises StageError when it cannot be read."""
    path = directory / RECEIPT
    again = f"Move {directory} elsewhere and run its stage again"
    try:
        stamp = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as e:
        raise StageError(f"cannot be read: {explained(e)}", path, exit=Exit.ENVIRONMENT) from e
    except (ValueError, RecursionError) as e:
        raise StageError(f"cannot be read: {e}", path, again) from e
    for name, kind in PARTS.items():
        value = stamp.get(name, kind()) if isinstance(stamp, dict) else None
        if not isinstance(value, kind):
            raise StageError(f"is no receipt of a stage: {name} is missing or no {kind.__name__}", path, again)
    return stamp


def made_of(directory: Path, source: Path) -> bool:
    """Whether a finished directory was made of what now lies in another of its subject, by content."""
    done, before = receipt(directory) or {}, receipt(source) or {}
    digest = before.get("outputs", {}).get("digest")
    return digest is not None and done.get("parts", {}).get(f"{source.name}/") == digest


def vouched(directory: Path) -> str:
    """The digest of the list of files that a receipt vouches for; "" where there is none that does."""
    try:
        digest = (receipt(directory) or {}).get("outputs", {}).get("digest")
    except StageError as e:
        if e.exit == Exit.ENVIRONMENT:
            raise
        return ""
    return digest if isinstance(digest, str) else ""


def listed(directory: Path) -> dict[str, str]:
    """The files that the last run wrote, name -> digest. Nothing where the receipt does not vouch for the list."""
    sums, digest = directory / SUMS, vouched(directory)
    if not (digest and is_file(sums)) or digest_path(sums) != digest:
        return {}
    lines = os.fsdecode(sums.read_bytes()).split("\n")
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}


def there(directory: Path) -> Iterator[str]:
    """Names of everything below a directory that is not itself one: files, links (not followed), pipes."""
    for folder, folders, files in os.walk(directory, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in (*files, *links):
            yield os.path.relpath(os.path.join(folder, name), directory)


def lacking(directory: Path) -> int:
    """How many files of a finished directory are gone."""
    return len(listed(directory).keys() - set(there(directory)))


def is_file(path: Path) -> bool:
    """Whether it is a file itself, and no link to one."""
    return path.is_file() and not path.is_symlink()


def _raise(error: OSError) -> None:
    raise error
