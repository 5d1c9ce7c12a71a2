"""Which kind of data a folder is, as it looks, and what its reader finds in it."""

from pathlib import Path

from avatarmake.errors import Exit, StageError
from stages.imported import flashavatar, head_tracker, insta, metrical_tracker, vhap
from stages.imported.found import Found

# in this order: INSTA's has images and perhaps checkpoint/, as metrical-tracker's output
READERS = {
    "vhap": (vhap, "transforms.json and flame_param/"),
    "insta": (insta, "transforms.json and flame/"),
    "flashavatar": (flashavatar, "imgs/ and checkpoint/, or dataset/ and metrical-tracker/"),
    "metrical-tracker": (metrical_tracker, "checkpoint/ and input/ or images/"),
    "flame-head-tracker": (head_tracker, "0.npz, 1.npz ..."),
}


def read(folder: Path, subject: str, config) -> Found:
    """Raises StageError for a folder that is of no kind."""
    if not folder.is_dir():
        raise StageError("is no folder", folder, "Give one: FROM=folder", Exit.USAGE)
    kind = config.kind if config.kind != "auto" else _kind(folder)
    options = {"vhap": {"camera": config.camera}, "flame-head-tracker": {"fps": config.fps}}.get(kind, {})
    return READERS[kind][0].read(folder, subject, **options)


def _kind(folder: Path) -> str:
    for kind, (reader, _) in READERS.items():
        if reader.is_one(folder):
            return kind
    there = ", ".join(sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))[:8]) or "nothing"
    sought = "; ".join(f"{kind}: {what}" for kind, (_, what) in READERS.items())
    raise StageError(f"is of no kind that is known: it holds {there}", folder, f"Looked for: {sought}")
