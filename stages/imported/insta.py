"""INSTA's datasets: transforms.json, images, matted, seg_mask, flame; best with metrical-tracker's checkpoint beside.

Source: INSTA (commit 9c17968) scripts/transforms.py (the pose is the inverse of metrical-tracker's OpenCV camera, so
its axes are OpenCV's), scripts/postprocess.py (clothes are blank in images and matted), scripts/patches/face-parsing
(the colours of seg_mask). Of the parameters flame/ has the expression and, in the released data, the eyes; the jaw is
in the expression, because metrical-tracker leaves its joint at rest unless told otherwise.
"""

from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats import npy
from avatarmake.formats.frame import FrameRecord
from stages.imported import parameters, transforms
from stages.imported.found import Found, Mask, Shot, counted
from stages.imported.frame_files import FrameFiles

APART_PX = 0.05  # between transforms.json and a .frame, which it was made of
ZEROS = np.zeros(2, np.float32)


def is_one(folder: Path) -> bool:
    there = (folder / transforms.NAME).is_file() or (folder / transforms.PIECES[0]).is_file()
    return there and ((folder / "flame").is_dir() or (folder / "meshes").is_dir())


def read(folder: Path, subject: str) -> Found:
    path, reader = folder / transforms.NAME, FrameFiles()
    frames = {_number(f, path): f for f in transforms.frames(folder)}
    shots, lost, notes = [], [], []
    whole = any((folder / "checkpoint").glob("*.frame"))
    shape = None if whole else _shape(folder)
    for number, frame in sorted(frames.items()):
        picture = _picture(folder, frame)
        if picture is None:
            lost.append(number)
            continue
        r, t = transforms.extrinsics(frame, path, opengl=False)
        k, size = transforms.intrinsics(frame, path), transforms.size(frame, path)
        if whole:
            record = _of_checkpoint(reader, folder / "checkpoint" / f"{picture.stem}.frame", r, t)
        else:
            record = _of_flame(folder, picture.stem, frame, shape, reader.sizes)
            record.R, record.t = r.astype(np.float32), t.astype(np.float32)
            record.intrinsics, record.image_size = k.astype(np.float32), size
        shots.append(Shot(number, f"frame {number} of {path.name}", record, image=picture, masks=_masks(picture)))
    notes += parameters.padded(reader.sizes)
    if lost:
        notes.append(f"{counted(lost, 'frame')} without an image: dropped")
    if not whole:
        notes.append("without metrical-tracker's checkpoint/ the jaw's joint and the lids are taken to be at rest")
    if not any((folder / "background").glob("*")):
        notes.append("clothes are blank in its pictures, and so is the background: INSTA leaves them so")
    return Found("insta", folder, shots, notes)


def _number(frame: dict, path: Path) -> int:
    stem = Path(frame["file_path"]).stem
    if not (stem.isascii() and stem.isdecimal()):
        raise StageError(f"{frame['file_path']} is no numbered image", path)
    return int(stem)


def _picture(folder: Path, frame: dict) -> Path | None:
    """The original where it was kept, else the matted one, whose edge is soft, else that which is trained on."""
    said = transforms.file(folder, frame, "file_path")
    places = [folder / name / said.name for name in ("background", "matted")] + [said]
    return next((p for p in places if p.is_file()), None)


def _masks(picture: Path) -> dict[str, Mask]:
    folder = picture.parent.parent
    alpha = next((p for n in ("matted", "images") if (p := folder / n / picture.name).is_file()), None)
    labels = folder / "seg_mask" / picture.name
    found = {"alpha": Mask(alpha, "alpha")} if alpha else {}
    return found | ({part: Mask(labels, "insta") for part in ("neckhead", "mouth")} if labels.is_file() else {})


def _of_checkpoint(reader: FrameFiles, path: Path, r: np.ndarray, t: np.ndarray) -> FrameRecord:
    """The .frame, whose camera must be that of transforms.json."""
    record = reader.read(path)
    turned = parameters.degrees(r @ record.R.astype(np.float64).T)
    moved = np.abs(record.t - t).max() / max(abs(t[2]), 1e-6)
    pixels = max(np.radians(turned), moved) * record.intrinsics[0, 0]
    if not pixels < APART_PX:
        what = f"its camera is {pixels:.2f} px from that of transforms.json"
        raise StageError(what, path, "They are of two trackings: take both from one")
    return record


def _of_flame(folder: Path, stem: str, frame: dict, shape: np.ndarray, sizes: dict) -> FrameRecord:
    """A record without a camera, of flame/<what>/NNNNN.txt."""

    def numbers(what: str) -> tuple[np.ndarray, Path] | None:
        path = transforms.file(folder, frame, f"{what}_path") or folder / "flame" / what / f"{stem}.txt"
        if not path.is_file():
            return None
        try:
            return np.loadtxt(path, dtype=np.float64, ndmin=1), path
        except (ValueError, UnicodeDecodeError) as e:
            raise StageError(f"is no list of numbers: {e}", path) from e

    found = numbers("exp")
    if found is None:
        raise StageError("is not there", folder / "flame" / "exp" / f"{stem}.txt")
    sizes["expression"].add(found[0].size)
    eyes, jaw, lids = (numbers(what) for what in ("eyes", "jaw", "eyelids"))
    level = parameters.LEVEL
    return FrameRecord(
        shape=shape,
        expression=parameters.vector(found[0], 100, "expression", found[1], shorter=True),
        jaw_rot6d=level if jaw is None else parameters.vector(jaw[0], 6, "jaw", jaw[1]),
        eyes_rot6d=np.tile(level, 2) if eyes is None else parameters.vector(eyes[0], 12, "eyes", eyes[1]),
        eyelids=ZEROS if lids is None else parameters.vector(lids[0], 2, "eyelids", lids[1]),
        R=np.eye(3, dtype=np.float32),
        t=np.zeros(3, np.float32),
        intrinsics=np.eye(3, dtype=np.float32),
    )


def _shape(folder: Path) -> np.ndarray:
    """MICA's identity.npy, which metrical-tracker keeps for the whole video."""
    path = folder / "identity.npy"
    if not path.is_file():
        raise StageError(
            "nothing says the person's shape: its meshes are in a topology of INSTA's own",
            folder,
            "Put metrical-tracker's checkpoint/ there, or the identity.npy that it was given",
        )
    try:
        return parameters.vector(npy.array(path.read_bytes()), 300, "identity", path, shorter=True)
    except ValueError as e:
        raise StageError(f"is no array of numbers: {e}", path) from e
