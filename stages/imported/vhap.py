"""VHAP's exports, which GaussianAvatars trains on: transforms.json, images, fg_masks, flame_param/*.npz.

Source: VHAP (commit 4b64ab7) export_as_nerf_dataset.py, model/flame.py and util/camera.py, GaussianAvatars (commit
30cc4bd) scene/dataset_readers.py: the pose is camera to world with OpenGL's axes, cy counts from the lower edge;
translation, rotation, neck, jaw and eyes in radians, a static offset for every vertex. It knows no eyelids.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from avatarmake.errors import Exit, StageError
from avatarmake.formats.frame import FrameRecord
from stages.imported import npz_file, parameters, transforms
from stages.imported.found import Found, Mask, Shot, counted
from stages.imported.joints import Joints, into_camera

POSES = {"rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "translation": 3}
KEYS = (*POSES, "shape", "expr", "static_offset")
STILL = 1e-6  # radians, below which nothing turns
FRAMES = (transforms.NAME, *transforms.PIECES)


def is_one(folder: Path) -> bool:
    return (folder / "flame_param").is_dir() and any((folder / name).is_file() for name in FRAMES)


def read(folder: Path, subject: str, camera: str = "auto") -> Found:
    path, notes = folder / transforms.NAME, []
    frames = _of_one_camera(transforms.frames(folder), camera, path, notes)
    reader, shots, lost = Parameters(folder), [], []
    for number, frame in sorted(frames.items()):
        picture = transforms.file(folder, frame, "file_path")
        if not picture.is_file():
            lost.append(number)
            continue
        mask = transforms.file(folder, frame, "fg_mask_path")
        masks = {"alpha": Mask(mask)} if mask and mask.is_file() else {}
        where = f"frame {number} of {path.name}"
        shots.append(Shot(number, where, reader.record(frame, path), image=picture, masks=masks))
    if lost:
        notes.append(f"{counted(lost, 'frame')} without an image: dropped")
    notes += [*reader.notes(), "it has no eyelids: taken as open, blinks are in its expression"]
    return Found("vhap", folder, shots, notes, head_model="flame", neck_degrees=reader.neck_degrees)


def _of_one_camera(frames: list[dict], camera: str, path: Path, notes: list[str]) -> dict[int, dict]:
    """Time step -> frame, of the camera that was asked for or, of several, of the one that looks into the face."""
    groups: dict[int, dict[int, dict]] = defaultdict(dict)
    for i, frame in enumerate(frames):
        step, number = frame.get("timestep_index", i), frame.get("camera_index", 0)
        if type(step) is not int or type(number) is not int or step < 0:
            raise StageError(f"{frame['file_path']}: timestep_index is {step!r}, camera_index {number!r}", path)
        if step in groups[number]:
            raise StageError(f"has two frames of time step {step} and camera {number}", path)
        groups[number][step] = frame
    if not groups:
        raise StageError("holds no frame", path)
    chosen = max(groups, key=lambda n: (len(groups[n]), _frontal(groups[n], path)))
    if camera != "auto":
        if not camera.isdecimal() or int(camera) not in groups:
            there = ", ".join(map(str, sorted(groups)))
            raise StageError(f"there is no camera '{camera}'", path, f"There are {there}", Exit.USAGE)
        chosen = int(camera)
    if len(groups) > 1:
        notes.append(f"camera {chosen} of {len(groups)} is taken, the others are dropped (OPTIONS='--camera 8')")
    return groups[chosen]


def _frontal(frames: dict[int, dict], path: Path) -> float:
    """How much a camera looks against the world's z axis, along which VHAP's heads look."""
    r, _ = transforms.extrinsics(next(iter(frames.values())), path, opengl=True)
    return -float(r[2, 2])


class Parameters:
    """flame_param/*.npz as records; remembers what had to be left out."""

    def __init__(self, folder: Path):
        self._folder, self._joints = folder, Joints()
        self._sizes: dict[str, set[int]] = defaultdict(set)
        self._offset_mm = 0.0
        self.neck_degrees = 0.0

    def record(self, frame: dict, path: Path) -> FrameRecord:
        """K in pixels of the frame's own size. Raises StageError."""
        file = transforms.file(self._folder, frame, "flame_param_path")
        if file is None or not file.is_file():
            raise StageError(f"names no flame_param that is there: {frame.get('flame_param_path')}", path)
        held = npz_file.arrays(file, KEYS)
        if lacks := [key for key in KEYS if key not in held and key != "static_offset"]:
            raise StageError(f"has no {', '.join(lacks)}", file)
        pose = {name: parameters.vector(held[name], n, name, file).astype(np.float64) for name, n in POSES.items()}
        shape = parameters.vector(held["shape"], 300, "shape", file, shorter=True)
        expression = parameters.vector(held["expr"], 100, "expr", file, shorter=True)
        self._sizes["shape"].add(held["shape"].size)
        self._sizes["expression"].add(held["expr"].size)
        offset = self._offset(held.get("static_offset"), file)
        r, t = transforms.extrinsics(frame, path, opengl=True)
        turns = max(np.abs(pose["rotation"]).max(), np.abs(pose["neck_pose"]).max()) > STILL
        joints = self._joints.of(shape, expression, offset) if turns else None
        r, t = into_camera(r, t, joints, pose["rotation"], pose["neck_pose"], pose["translation"])
        self.neck_degrees = max(self.neck_degrees, parameters.degrees(pose["neck_pose"]))
        return FrameRecord(
            shape=shape,
            expression=expression,
            jaw_rot6d=parameters.rot6d(pose["jaw_pose"]),
            eyes_rot6d=parameters.rot6d(pose["eyes_pose"]),
            eyelids=np.zeros(2, np.float32),
            R=r.astype(np.float32),
            t=t.astype(np.float32),
            intrinsics=transforms.intrinsics(frame, path, from_below=True).astype(np.float32),
            image_size=transforms.size(frame, path),
        )

    def _offset(self, value: np.ndarray | None, file: Path) -> np.ndarray | None:
        if value is None or not value.any():
            return None
        offset = value.reshape(-1, value.shape[-1]).astype(np.float64)
        if offset.shape[1] != 3 or len(offset) < 5023 or not np.isfinite(offset).all():
            raise StageError(f"static_offset is {value.shape}, expected (1, 5023 or more, 3) finite numbers", file)
        self._offset_mm = max(self._offset_mm, 1000 * float(np.sqrt((offset**2).sum(1).mean())))
        return offset

    def notes(self) -> list[str]:
        lines = parameters.padded(self._sizes)
        if self._offset_mm:
            lines.append(f"its static offset of vertices ({self._offset_mm:.1f} mm, rms) is dropped: FLAME has none")
        return lines
