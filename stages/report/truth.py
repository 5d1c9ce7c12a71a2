"""The demo subject's tracking against its truth: every parameter, camera and landmark is known there."""

from pathlib import Path

import numpy as np

from avatarmake.contract import layout
from avatarmake.errors import StageError
from avatarmake.formats.frame import read_frame
from avatarmake.formats.tracking import Tracking
from avatarmake.geometry import cameras
from avatarmake.head_model.model import HeadModel
from stages.report.subject import Finished

KEYS = ("shape", "expression", "jaw_pose", "eye_pose", "eyelids", "R", "t", "intrinsics", "landmarks")
OPEN = 0.5  # closure of the lids: where the eye looks cannot be seen beyond
SOME = 500  # frames by which a face's motion is judged, about
STILL = 1e-3  # of the largest: an expression that hardly moves in truth has no correlation to speak of


def compare(done: Finished, path: Path) -> tuple[dict, dict]:
    """-> figures for metrics.json, and {"times", "truth", "tracked"} of the eyelids, for a chart."""
    truth = _load(path)
    numbers = range(1, len(done.index["images"]) + 1)
    source = np.array(done.index["source_frames"])
    if source.max() >= len(truth["R"]):
        raise StageError(f"has {len(truth['R'])} frames, the video at least {source.max() + 1}", path, "Run: make demo")
    truth = {k: v[source] if k not in ("shape", "intrinsics") else v for k, v in truth.items()}
    tracked = [done.tracked(n) for n in numbers]
    eyelids = np.stack([t.eyelid_closure for t in tracked])
    r, t = cameras.extrinsics_from_cam(np.stack([t.cam for t in tracked]))
    box, side = done.crop["box"], done.index["image_size"][0]
    r_true, t_true, focal_true = crop_camera(truth["R"], truth["t"], truth["intrinsics"], box, side)
    points = (truth["landmarks"], box, side)
    figures = {
        "eyelid_correlation": {"left": correlation(eyelids[:, 0], truth["eyelids"][:, 0]),
                               "right": correlation(eyelids[:, 1], truth["eyelids"][:, 1])},
        **_cameras(done, tracked, (r, t), (r_true, t_true), points),
        "jaw_correlation": correlation(np.stack([t.jaw_pose[0] for t in tracked]), truth["jaw_pose"][:, 0]),
        "gaze_correlation": _gaze(np.stack([t.eye_pose for t in tracked]), truth["eye_pose"], truth["eyelids"]),
        "expression_correlation": _expression(np.stack([t.expression for t in tracked]), truth["expression"]),
        "focal_error_pct": float(100 * (done.index["focal"] / focal_true - 1)),
        "refined": _cameras(done, tracked, _refined(done), (r_true, t_true), points),
    }  # fmt: skip
    if other_head(done, path):  # another origin, other expressions: nothing to compare
        figures |= {"translation_error_mm": {"sideways": None, "depth": None}, "expression_correlation": None}
        figures["refined"]["translation_error_mm"] = figures["translation_error_mm"]
        figures |= {"face_motion_explained": None}
    else:
        figures |= {"face_motion_explained": _face_motion(done, tracked, truth)}
    return figures, {"times": done.index["times"], "truth": truth["eyelids"], "tracked": eyelids}


def _cameras(done: Finished, tracked: list[Tracking], ours: tuple, true: tuple, points: tuple) -> dict:
    """What cameras, each (N,3,3) and (N,3), are off by. `points`: true landmarks, the crop's box, its side."""
    (r, t), (r_true, t_true) = ours, true
    turned = np.degrees(np.arccos(np.clip((np.einsum("nij,nij->n", r, r_true) - 1) / 2, -1, 1)))
    apart = 1000 * (t - t_true)
    return {
        "landmark_error_px": _landmarks(done, tracked, r, t, *points),
        "rotation_error_degrees": {"median": _median(turned), "p95": float(np.percentile(turned, 95))},
        "translation_error_mm": {
            "sideways": _median(np.linalg.norm(apart[:, :2], axis=1)),
            "depth": _median(np.abs(apart[:, 2])),
        },
    }


def _refined(done: Finished) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N,3,3), translations (N,3) that training is given."""
    records = [read_frame(layout.checkpoint_file(done.refined, i)) for i in range(len(done.index["images"]))]
    return tuple(np.stack([getattr(r, name) for r in records]).astype(np.float64) for name in ("R", "t"))


def other_head(done: Finished, path: Path) -> bool:
    """Whether the truth is that of another head model than the tracking's."""
    with np.load(path, allow_pickle=False) as npz:
        return "head_model_digest" in npz and str(npz["head_model_digest"]) != done.head.digest


def correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's, or None where one of them does not move."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def crop_camera(r: np.ndarray, t: np.ndarray, k: np.ndarray, box: list, side: int) -> tuple:
    """The true camera as one that looks through the crop's centre: R (N,3,3), t (N,3), focal in px of the crop.

    The tracker's principal point is the crop's centre. Turning the true camera towards that centre changes the
    picture only by a slight perspective, which is the best any such tracker can do.
    """
    x, y, size = box
    scale = side / size
    axis = np.linalg.inv(k) @ np.array([x + size / 2, y + size / 2, 1.0])
    axis /= np.linalg.norm(axis)
    right = np.cross([0.0, 1.0, 0.0], axis)
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(axis, right), axis])
    return turn @ r, t @ turn.T, k[0, 0] * scale


def _landmarks(done: Finished, tracked: list[Tracking], r, t, truth: np.ndarray, box: list, side: int) -> dict:
    """Projected landmarks against true ones in px of the crop: median and 95th percentile of the frames' means."""
    ids = done.head.landmark_ids
    at = done.head.at_landmarks(ids)
    scale = side / box[2]
    errors = []
    for i, frame in enumerate(tracked):
        points = at.vertices(
            frame.shape, frame.expression[None], frame.jaw_pose[None], frame.eye_pose[None], frame.eyelid_closure[None]
        )
        seen = cameras.project(at.landmarks(points)[0], r[i], t[i], frame.intrinsics)
        errors.append(np.linalg.norm(seen - (truth[i, ids] - box[:2]) * scale, axis=-1).mean())
    return {"median": _median(errors), "p95": float(np.percentile(errors, 95))}


def _expression(tracked: np.ndarray, truth: np.ndarray) -> float | None:
    """Median correlation over the expressions that truth uses."""
    moves = truth.std(0) > STILL * max(truth.std(0).max(), 1e-9)
    found = [correlation(tracked[:, i], truth[:, i]) for i in np.flatnonzero(moves)]
    found = [c for c in found if c is not None]
    return _median(found) if found else None


def _gaze(tracked: np.ndarray, truth: np.ndarray, closure: np.ndarray) -> dict:
    """Up and down, and sideways: the lesser of both eyes' correlations, over the frames in which an eye is open.

    eye_pose (N,6), closure (N,2).
    """
    figures = {}
    for name, axis in (("up_down", 0), ("sideways", 1)):
        eyes = ((closure[:, eye] < OPEN, 3 * eye + axis) for eye in (0, 1))
        found = [correlation(tracked[seen, k], truth[seen, k]) for seen, k in eyes]
        figures[name] = None if None in found else min(found)
    return figures


def _face_motion(done: Finished, tracked: list[Tracking], truth: dict) -> float | None:
    """The share of the face's own motion that is tracked: of the squares by which its vertices leave their means.

    In the head's coordinates, at the truth's size: no camera tells a large head from a near one. Expressions overlap,
    so that their coefficients may differ where the faces do not; what is seen, and trained on, is the surface.
    """
    skin = [name for name in ("face", "lips") if name in done.head.regions]
    face = np.any([done.head.vertex_region(name) for name in skin], 0)
    names = ("expression", "jaw_pose", "eye_pose", "eyelids")
    ours = [np.stack([getattr(t, name) for t in tracked]) for name in names[:3]]
    ours.append(np.stack([t.eyelid_closure for t in tracked]))
    some = slice(None, None, 1 + len(tracked) // SOME)
    mean, own = _moved(done.head, tracked[0].shape, [p[some] for p in ours], face)
    true_mean, true = _moved(done.head, truth["shape"], [truth[name][some] for name in names], face)
    size = np.linalg.norm(true_mean - true_mean.mean(0)) / np.linalg.norm(mean - mean.mean(0))
    total = (true**2).sum()
    if total <= 1e-12:
        return None
    return round(float(1 - ((size * own - true) ** 2).sum() / total), 4)  # BLAS rounds by the number of its threads


def _moved(head: HeadModel, shape: np.ndarray, poses: list, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> the mean (v,3) of the vertices `where` over all frames, and how far each is from it in each (N,v,3)."""
    runs = range(0, len(poses[0]), 50)
    points = np.concatenate([head.vertices(shape, *(p[k : k + 50] for p in poses))[:, where] for k in runs])
    mean = points.mean(0, dtype=np.float64)
    return mean, points - mean


def _median(values) -> float:
    return float(np.median(values))


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as npz:
            return {k: npz[k].astype(np.float64) for k in KEYS}
    except (OSError, ValueError, KeyError) as e:
        raise StageError(f"cannot be read: {e}", path, "Run: make demo") from e
