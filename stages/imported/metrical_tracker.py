"""metrical-tracker's output: checkpoint/ beside input/, or beside the images/ that it was given.

Source: metrical-tracker (commit c2a5172): tracker.py writes input/NNNNN.png with NNNNN.frame, and input/ of hundreds of
its first steps as well; datasets/image_dataset.py takes images/ in the order of their names, the first for 00000.frame.
"""

from pathlib import Path

from avatarmake.errors import StageError
from stages.imported import parameters
from stages.imported.found import Found, Shot, counted, numbered
from stages.imported.frame_files import FrameFiles

PICTURES = (".png", ".jpg", ".jpeg")


def is_one(folder: Path) -> bool:
    return (folder / "checkpoint").is_dir() and any((folder / name).is_dir() for name in ("input", "images"))


def read(folder: Path, subject: str) -> Found:
    files = numbered(folder / "checkpoint", (".frame",))
    if not files:
        raise StageError("holds no .frame", folder / "checkpoint", "Track the video first")
    images = _images(folder)
    paired = sorted(files.keys() & images.keys())
    if not paired:
        what = f"none of its {len(images)} images belongs to one of {len(files)} .frame files"
        raise StageError(what, folder, "input/NNNNN.png is that of NNNNN.frame")
    reader = FrameFiles()
    shots = [Shot(i, f"checkpoint/{files[i].name}", reader.read(files[i]), image=images[i]) for i in paired]
    notes = parameters.padded(reader.sizes)
    if lost := files.keys() - set(paired):
        notes.append(f"{counted(lost, '.frame')} without an image: dropped")
    if stray := images.keys() - set(paired):
        notes.append(f"{counted(stray, 'image')} without a .frame (of the tracker's first steps?): dropped")
    return Found("metrical-tracker", folder, shots, notes)


def _images(folder: Path) -> dict[int, Path]:
    """Number of the .frame -> image."""
    if seen := numbered(folder / "input", PICTURES):
        return seen
    given = numbered(folder / "images", PICTURES)
    return {i: given[number] for i, number in enumerate(sorted(given))}
