"""Does the head stand where the pictures show it? A face is looked for in some of them and held against the parameters.

With the head model: its landmarks, projected by FlashAvatar's camera, against those detected. Without (FLAME is
licensed): the pose alone, against that of our open head fitted to the detections; both models' axes are alike, their
origins lie in the head. Either way also whether the frames before or after would fit better: pictures paired wrongly.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.contract.layout import IMAGE_SIZE, frame_image
from avatarmake.detection import FaceMesh
from avatarmake.errors import StageError
from avatarmake.formats import images
from avatarmake.formats.frame import FrameRecord
from avatarmake.geometry import cameras, rotations
from avatarmake.geometry.jitter import RIGID
from avatarmake.head_model.landmark_names import FACE_OVAL
from avatarmake.head_model.model import HeadModel
from stages.imported import parameters

RUNS, LENGTH = 6, 4  # stretches of neighbouring frames that are looked at
FEW = 3  # faces, below which nothing is concluded
EYES = (33, 263)  # outer corners, MediaPipe's numbers
# Median distance of landmarks in per cent of that between the eyes' outer corners. Trackings of one's own pictures: 2
# to 6; a principal point that was left out by 20 px, a K of half the size, another person: above 15
REFUSED, DOUBTED = 15.0, 8.0
TURNED, NEARER, AWAY = 25.0, 1.5, 0.2  # degrees; times; metres: of a pose without a head model
MOVES, CLEARER, PIXELS = 2.0, 0.7, 0.3  # of a pairing: px that a head strays, and what a better one leaves of it


@dataclass
class Evidence:
    """What was seen. `lines` are for people, `facts` for the receipt."""

    lines: list[str] = field(default_factory=list)
    facts: dict = field(default_factory=dict)
    seen: dict[int, np.ndarray] = field(default_factory=dict)  # frame, from 0 -> (478,2) px
    shown: dict[int, np.ndarray] = field(default_factory=dict)  # frame -> (L,2) px where the head model has them


def gather(frames: Path, records: list[FrameRecord], head: HeadModel | None) -> Evidence:
    """`records` are of 512 x 512. Raises StageError where the head is elsewhere: by how much, and what it may be."""
    found = Evidence(seen=_detected(frames, _sample(len(records))))
    if len(found.seen) < FEW:
        found.lines.append(f"a face is seen in {len(found.seen)} of the pictures looked at: nothing could be compared")
        return found
    if head is None:
        _by_pose(found, records)
    else:
        _by_landmarks(found, records, head)
    return found


def _sample(count: int) -> list[int]:
    """Stretches of neighbouring frames spread over all."""
    starts = np.unique(np.linspace(0, max(count - LENGTH, 0), RUNS).astype(int))
    return sorted({i for start in starts for i in range(start, min(start + LENGTH, count))})


def _detected(frames: Path, sample: list[int]) -> dict[int, np.ndarray]:
    with FaceMesh() as mesh:
        looked = {i: mesh.detect(images.read_rgb(frame_image(frames, i + 1))) for i in sample}
    return {i: points[:, :2].astype(np.float64) for i, points in looked.items() if points is not None}


# --- with the head model ---------------------------------------------------------------------------------------------


def _by_landmarks(found: Evidence, records: list[FrameRecord], head: HeadModel) -> None:
    ids = np.array([i for i in head.landmark_ids if i < 468 and i not in FACE_OVAL], np.int32)
    near = sorted({j for i in found.seen for j in (i - 1, i, i + 1) if 0 <= j < len(records)})
    shown = dict(zip(near, projected([records[j] for j in near], records[0], head.at_landmarks(ids)), strict=True))
    found.shown = {i: shown[i] for i in found.seen}
    eyes = {i: float(np.linalg.norm(seen[EYES[0]] - seen[EYES[1]])) for i, seen in found.seen.items()}
    away = {i: float(np.median(np.linalg.norm(seen[ids] - shown[i], axis=1))) for i, seen in found.seen.items()}
    px = float(np.median(list(away.values())))
    percent = np.array([100 * away[i] / eyes[i] for i in away])
    median = float(np.median(percent))
    found.facts |= {
        "landmark_error_px": _spread(np.array(list(away.values()))),
        "landmark_error_pct": _spread(percent),
        "faces_compared": len(away),
    }
    said = f"landmarks are {px:.1f} px ({median:.1f} % of the eyes' distance) from those seen in {len(away)} pictures"
    if not median < REFUSED:
        shift = np.median([np.median(found.seen[i][ids] - shown[i], axis=0) for i in found.seen], axis=0)
        raise StageError(
            f"its {said}, expected less than {REFUSED:.0f} %; most of it a shift of ({shift[0]:+.0f}, {shift[1]:+.0f})",
            frames_of(found),
            "Its K is of another size, its pictures are cut otherwise, its axes are another's, or it is another head",
        )
    found.lines.append(said + (": more than trackings usually have" if median > DOUBTED else ""))
    centres = {i: seen[ids].mean(0) for i, seen in found.seen.items()}
    _paired(found, centres, {j: points.mean(0) for j, points in shown.items()})


def projected(records: list[FrameRecord], first: FrameRecord, head: HeadModel) -> np.ndarray:
    """(N,L,2) px: the landmarks as FlashAvatar sees them, with the shape and K of the first frame."""
    eyes = np.stack([parameters.axis_angle(r.eyes_rot6d) for r in records])
    points = head.vertices(
        first.shape,
        np.stack([r.expression for r in records]),
        np.stack([parameters.axis_angle(r.jaw_rot6d) for r in records]),
        eyes,
        np.stack([r.eyelids for r in records]),
    )
    points = head.landmarks(points).astype(np.float64)
    r, t = (np.stack([getattr(record, name) for record in records]).astype(np.float64) for name in ("R", "t"))
    return cameras.project(points, r, t, first.intrinsics.astype(np.float64))


# --- without ---------------------------------------------------------------------------------------------------------


def _by_pose(found: Evidence, records: list[FrameRecord]) -> None:
    head = head_model.load("open")
    ids = np.array([i for i in head.landmark_ids if i < 468 and i not in FACE_OVAL], np.int32)
    points = head.at_landmarks(ids)
    rest = points.landmarks(points.v_template[None])[0].astype(np.float64)
    k = records[0].intrinsics.astype(np.float64)
    turned, nearer, away = [], [], []
    for i, seen in found.seen.items():
        r, t = _pose(rest, seen[ids], k)
        theirs, place = records[i].R.astype(np.float64), records[i].t.astype(np.float64)
        turned.append(parameters.degrees(theirs @ r.T))
        nearer.append(max(place[2] / t[2], t[2] / place[2]))
        away.append(float(np.linalg.norm((place * (t[2] / place[2]) - t)[:2])))
    degrees, times, metres = (float(np.median(x)) for x in (turned, nearer, away))
    found.facts |= {"turned_degrees": round(degrees, 2), "metres_aside": round(metres, 3)}
    found.facts["faces_compared"] = len(turned)
    said = f"heads are turned by {degrees:.0f} degrees from, {times:.2f} times as far as and {100 * metres:.0f} cm from"
    if degrees > TURNED or times > NEARER or metres > AWAY:
        raise StageError(
            f"its {said} those fitted to {len(turned)} pictures, expected less than {TURNED:.0f}, {NEARER} and "
            f"{100 * AWAY:.0f}",
            frames_of(found),
            "Its K is of another size, its pictures are cropped otherwise, or its camera's axes are another's",
        )
    found.lines.append(f"{said} those fitted to {len(turned)} pictures (without FLAME nothing finer can be compared)")
    centres = {i: seen[list(RIGID)].mean(0) for i, seen in found.seen.items()}
    middle = _middle(centres, records, k)
    near = {j for i in centres for j in (i - 1, i, i + 1) if 0 <= j < len(records)}
    _paired(found, centres, {j: cameras.project(middle[None], *_view(records[j]), k)[0] for j in near})


def _view(record: FrameRecord) -> tuple[np.ndarray, np.ndarray]:
    return record.R.astype(np.float64), record.t.astype(np.float64)


def _middle(centres: dict[int, np.ndarray], records: list[FrameRecord], k: np.ndarray) -> np.ndarray:
    """(3,) the middle of the face in the head's own axes: the point c that is seen at `centres`, by least squares.

    Where d is the ray to a centre, (R c + t) x d = 0. A head that hardly turns does not say how deep it lies: little.
    """
    rows, sides = [0.01 * np.eye(3)], [np.zeros(3)]
    for i, (x, y) in centres.items():
        r, t = _view(records[i])
        across = rotations.skew(np.linalg.solve(k, np.array([x, y, 1.0])))
        rows.append(across @ r)
        sides.append(-across @ t)
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(sides), rcond=None)[0]


def _pose(points: np.ndarray, seen: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R (3,3), t (3,) that project points (L,3) to seen (L,2)."""
    import cv2

    guess = np.array([[np.pi], [0], [0]]), np.array([[0.0], [0], [1]])  # x right, y down, z forward
    _, r, t = cv2.solvePnP(points, seen, k, None, *guess, useExtrinsicGuess=True)
    return rotations.matrix_from_axis_angle(r[:, 0]), t[:, 0]


# --- pairing ---------------------------------------------------------------------------------------------------------


def _paired(found: Evidence, seen: dict[int, np.ndarray], shown: dict[int, np.ndarray]) -> None:
    """Raises StageError where the frame before or after follows the detected head clearly better than its own."""
    shared = [i for i in seen if all(i + s in shown for s in (-1, 0, 1))]
    if len(shared) < 2 * FEW:
        return
    seen_at = np.array([seen[i] for i in shared])
    strays = {s: _straying(seen_at - np.array([shown[i + s] for i in shared])) for s in (0, -1, 1)}
    moves = _straying(seen_at)
    best = min(strays, key=strays.get)
    found.facts["straying_px"] = {str(s): round(stray, 3) for s, stray in strays.items()}
    if best and moves > MOVES and strays[best] < CLEARER * strays[0] and strays[0] - strays[best] > PIXELS:
        raise StageError(
            f"its parameters belong to the picture {'after' if best < 0 else 'before'}: paired so the head strays "
            f"{strays[best]:.2f} px from the detected one, as they are {strays[0]:.2f}",
            frames_of(found),
            "N.frame is image N + 1 for FlashAvatar, and input/N for metrical-tracker: rename the pictures",
        )


def _straying(apart: np.ndarray) -> float:
    """Mean distance in px of (N,2) beyond a constant one."""
    return float(np.linalg.norm(apart - np.median(apart, 0), axis=1).mean())


def _spread(x: np.ndarray) -> dict[str, float]:
    return {"median": round(float(np.median(x)), 3), "p95": round(float(np.percentile(x, 95)), 3)}


def frames_of(found: Evidence) -> str:
    return f"frames {', '.join(str(i) for i in sorted(found.seen)[:4])} ..."


# --- a picture of it -------------------------------------------------------------------------------------------------


def draw(frames: Path, found: Evidence, target: Path) -> None:
    """Up to four of the pictures side by side: what was detected in white, where the head model has it in green."""
    chosen = sorted(found.seen)[:: max(len(found.seen) // 4, 1)][:4]
    if not chosen:
        return
    row = []
    for i in chosen:
        picture = images.read_rgb(frame_image(frames, i + 1)).copy()
        _dots(picture, found.seen[i], (255, 255, 255))
        if i in found.shown:
            _dots(picture, found.shown[i], (0, 220, 0))
        row.append(picture)
    images.write_jpeg(target, np.concatenate(row, 1), quality=90)


def _dots(picture: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    x, y = np.floor(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < IMAGE_SIZE - 1) & (y < IMAGE_SIZE - 1)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        picture[y[inside] + dy, x[inside] + dx] = colour
