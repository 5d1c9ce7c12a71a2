"""Content digests of files and directories: sha256, over names and bytes, nothing else."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def digest_files(paths: Iterable[Path], root: Path) -> str:
    h = hashlib.sha256()
    for path in paths:
        h.update(os.fsencode(path.relative_to(root)) + b"\0")  # names need not be UTF-8
        with path.open("rb") as f:
            h.update(hashlib.file_digest(f, "sha256").digest())
    return h.hexdigest()


def digest_path(path: Path) -> str:
    """Content digest of a file, or of all files below a directory."""
    if path.is_dir():
        return digest_files(sorted(p for p in path.rglob("*") if p.is_file()), path)
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
