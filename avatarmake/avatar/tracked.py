"""The performance that a subject's own directories hold."""

from pathlib import Path

import numpy as np

from avatarmake.avatar.performance import Performance
from avatarmake.contract import layout
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import StageError
from avatarmake.formats.descriptions import read_crop, read_index, read_tracker
from avatarmake.formats.frame import read_frame
from avatarmake.formats.tracking import read_tracking, tracked_file, tracked_indices
from avatarmake.geometry import cameras, rotations


def of_dataset(dataset: Path, subject: str) -> Performance:
    """What refined/ (or dataset/, whose cameras are as tracked) holds, frame by frame: the avatar's own performance."""
    index = read_index(dataset / "index.json", subject)
    records = [read_frame(layout.checkpoint_file(dataset, i)) for i in range(len(index["images"]))]
    if not records:
        raise StageError("holds no frame", dataset, f"Run: make track ID={subject}")
    return Performance(
        head_model=index["head_model"],
        head_model_digest=index["head_model_digest"],
        fps=float(index["fps"]),
        times=np.array(index["times"], np.float64),
        expression=np.stack([r.expression for r in records]),
        jaw_pose=axis_angle(np.stack([r.jaw_rot6d for r in records])),
        eye_pose=axis_angle(np.stack([r.eyes_rot6d for r in records])),
        eyelids=np.stack([r.eyelids for r in records]),
        R=np.stack([r.R for r in records]),
        t=np.stack([r.t for r in records]),
        intrinsics=records[0].intrinsics,
        image_size=records[0].image_size,
    )


def of_tracking(tracking: Path, frames: Path, subject: str) -> Performance:
    """What tracking/ holds, with the times of frames/: of a subject that need not be trained, nor converted."""
    crop = read_crop(frames / "crop.json", subject, "fps", "times")
    tracker = read_tracker(tracking / "tracker.json", subject)
    if "head_model_digest" not in tracker:
        raise StageError("does not say which head model", tracking / "tracker.json", f"Run: make track ID={subject}")
    found = [i for i in tracked_indices(tracking) if i < len(crop["times"])]
    if not found:
        raise StageError("holds no tracked frame", tracking, f"Run: make track ID={subject}")
    records = [read_tracking(tracked_file(tracking, i)) for i in found]
    rotation, translation = cameras.extrinsics_from_cam(np.stack([r.cam for r in records]))
    lids = [np.zeros(2, np.float32) if r.eyelid_closure is None else r.eyelid_closure for r in records]
    return Performance(
        head_model=tracker["head_model"],
        head_model_digest=tracker["head_model_digest"],
        fps=float(crop["fps"]),
        times=np.array([crop["times"][i] for i in found], np.float64),
        expression=np.stack([r.expression for r in records]),
        jaw_pose=np.stack([r.jaw_pose for r in records]),
        eye_pose=np.stack([r.eye_pose for r in records]),
        eyelids=np.stack(lids),
        R=rotation.astype(np.float32),
        t=translation.astype(np.float32),
        intrinsics=records[0].intrinsics,
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
    )


def axis_angle(rot6d: np.ndarray) -> np.ndarray:
    """(F, 6k) -> (F, 3k) float32."""
    matrices = rotations.matrix_from_rot6d(rot6d.reshape(len(rot6d), -1, 6).astype(np.float64))
    return rotations.axis_angle_from_matrix(matrices).reshape(len(rot6d), -1).astype(np.float32)
