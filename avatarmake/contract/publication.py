"""How outputs appear: whole or not at all, with the receipt `stage.json` that says what they were made of.

A stage works in `<directory>.partial/`, and a rename publishes that once it is whole; a killed run is resumed from it.
`stage.json` is stamp, manifest and receipt in one.

Same inputs, same bytes: a directory's files hold the result and nothing of the run that made it. When, where, on what
and how fast (seconds along the way too: a stage returns them among its facts) stands in stage.json, the one file that
differs between engines, hosts and reruns. SHA256SUMS is of all others, so `outputs.digest`, which the keys of later
stages are made of, is the same wherever a stage ran.
"""

import json
import shutil
from pathlib import Path

from avatarmake.errors import StageError
from avatarmake.files.digests import digest_path

RECEIPT = "stage.json"
SUMS = "SHA256SUMS"
# of a receipt, what readers go by
PARTS = {"outputs": dict, "facts": dict, "parts": dict, "environment": dict, "stage": str, "key": str}


def receipt(directory: Path) -> dict | None:
    """stage.json of a finished directory, or None. Raises StageError when it cannot be read."""
    path = directory / RECEIPT
    again = f"Remove {directory} and run its stage again"
    try:
        stamp = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as e:
        raise StageError(f"cannot be read: {e}", path, again) from e
    for name, kind in PARTS.items():
        value = stamp.get(name, kind()) if isinstance(stamp, dict) else None
        if not isinstance(value, kind):
            raise StageError(f"is no receipt of a stage: {name} is missing or no {kind.__name__}", path, again)
    return stamp


def prepare(out: Path, key: str) -> bool:
    """Make the .partial directory; True when it holds work of the same key, to be resumed. Safe for shards at once."""
    stamp = out / ".key"
    if stamp.exists() and stamp.read_text() == key:
        return True
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    stamp.write_text(key)
    return False


def publish(out: Path, final: Path, stamp: dict) -> None:
    """Digest the outputs, write stage.json, and swap the directory in by rename."""
    (out / ".key").unlink()
    for torn in out.rglob(".*.new*"):  # a kill -9 in the middle of `whole`
        torn.unlink()
    files = sorted(p for p in out.rglob("*") if p.is_file())
    sums = {p.relative_to(out).as_posix(): digest_path(p) for p in files}
    (out / SUMS).write_text("".join(f"{d}  {name}\n" for name, d in sums.items()))
    stamp["outputs"] = {
        "files": len(files),
        "bytes": sum(p.stat().st_size for p in files),
        "digest": digest_path(out / SUMS),
    }
    temporary = out / f"{RECEIPT}.new"
    temporary.write_text(json.dumps(stamp, indent=1))
    temporary.rename(out / RECEIPT)
    old = final.with_name(f".{final.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if final.exists():
        final.rename(old)
    out.rename(final)
    shutil.rmtree(old, ignore_errors=True)
