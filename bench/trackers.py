"""Our solver and flame-head-tracker's fitting beside each other, on the same detections, head and focal length.

    python -m bench.trackers [--data build/trackers] [--id demo] [--frames 96] [--device cpu]

Theirs is upstream's own landmark mode, patched (docs/flame-head-tracker.md): Adam, 1,500 steps of the camera and 200 of
expression, jaw and eyes, in batches of 16, its losses and weights. Ours is `track` by landmarks only (REFINE=0). Both
are given the person's shape and the focal length that ours finds, and the detections of MediaPipe's Face Landmarker.
Milliseconds are processor time of the fits alone, of one thread (on CUDA: wall time of theirs). Error: the 51 landmarks
within the face that theirs fits, in px of 512 from the detections, median of the frames; jitter: second differences of
21 points that hardly deform, root mean square. On the demo subject both are held against its truth too.

Where no FLAME is, one is generated, with landmarks laid on it as ours are. Then DECA's encoder is a stand-in too, and
theirs starts from a face at rest. Not compared: what MICA would say of the shape, refinement by texture, which theirs
does not have in this mode, and eyelids, which it does not fit.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch

from avatarmake import ROOT, assets, head_model, patches
from avatarmake.contract import layout
from avatarmake.contract.layout import Subject
from avatarmake.detection import FaceLandmarker
from avatarmake.formats import images
from avatarmake.geometry import cameras, jitter
from avatarmake.head_model.model import HeadModel
from stages.flame_head_tracker import STAGE, FlameHeadTrackerConfig
from stages.flame_head_tracker.quality import OUTLINE
from stages.flame_head_tracker.tracker import UpstreamTracker, tracking
from stages.report.truth import crop_camera
from stages.track import identity, parameters, points
from stages.track.person import SIZE, Person, PersonSolver

BATCH = 16
IRISES = {"R_EYE_INDICES": range(468, 473), "L_EYE_INDICES": range(473, 478)}  # upstream's names, MediaPipe's numbers


class Fitted:
    """A course of landmarks (F,478,2) px and world-to-camera rotations (F,3,3), and what it took."""

    def __init__(self, who: str, uv: np.ndarray, rotation: np.ndarray, seconds: float):
        self.who, self.uv, self.rotation, self.ms = who, uv, rotation, 1e3 * seconds / len(uv)


def ours(head: HeadModel, person: identity.Identity, detected: np.ndarray) -> Fitted:
    solver = PersonSolver(head, "face", 25.0, Person(person, []), read=None)
    numbers = np.arange(len(detected))
    solver.solve(numbers[:8], detected[:8])  # warms up
    started = time.process_time()
    p = solver.solve(numbers, detected).p
    seconds = time.process_time() - started
    return Fitted("ours", solver.every.uv(p), parameters.camera_rotation(p), seconds)


def theirs(head: HeadModel, person: identity.Identity, pictures: list, device: str, generated: bool) -> Fitted:
    fov = 2 * np.degrees(np.arctan(layout.IMAGE_SIZE / 2 / person.focal))
    upstream = UpstreamTracker(STAGE, FlameHeadTrackerConfig(device=device, batch_size=BATCH, fov=float(fov)))
    tracker, clock = upstream._tracker, time.monotonic if upstream.device == "cuda" else time.process_time
    if generated:  # its irises are numbers of vertices of the real FLAME
        for name, marks in IRISES.items():
            spots = head.landmarks(head.v_template[None])[0][list(marks)]
            apart = np.linalg.norm(head.v_template[None] - spots[:, None], axis=2)
            setattr(tracker, name, apart.argmin(1).tolist())
    fit, seconds = tracker.run_fitting, []

    def timed(*given, **named):
        started = clock()
        found = fit(*given, **named)
        seconds.append(clock() - started)
        return found

    tracker.run_fitting = timed
    results = []
    for first in range(0, len(pictures), BATCH):
        results += upstream.track(pictures[first : first + BATCH], person.shape[None])
        print(f"flame-head-tracker: {len(results)} of {len(pictures)} frames", flush=True)
    uv, turns = [], []
    for t in map(tracking, results):
        rotation, translation = cameras.extrinsics_from_cam(t.cam)
        mesh = head.vertices(t.shape, t.expression[None], t.jaw_pose[None], t.eye_pose[None])
        uv.append(cameras.project(head.landmarks(mesh)[0], rotation, translation, t.intrinsics))
        turns.append(rotation)
    return Fitted("flame-head-tracker", np.stack(uv), np.stack(turns), sum(seconds))


def row(f: Fitted, groups: list, detected: np.ndarray, truth: tuple | None) -> list[str]:
    sparse = [x[:, groups].mean(2)[:, OUTLINE:] for x in (f.uv, detected)]
    error = np.median(np.linalg.norm(sparse[0] - sparse[1], axis=2).mean(1))
    cells = [f.who, f"{f.ms:.1f}", f"{error:.2f}", f"{jitter.jitter_px(f.uv[:, jitter.RIGID]):.3f}"]
    if truth:
        marks, rotation = truth
        away = np.median(np.linalg.norm(f.uv - marks, axis=2).mean(1))
        turned = (np.einsum("fij,fij->f", f.rotation, rotation) - 1) / 2
        cells += [f"{away:.2f}", f"{np.median(np.degrees(np.arccos(turned.clip(-1, 1)))):.2f}"]
    return cells


def true_course(subject: Subject, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The demo's landmarks (F,478,2) in px of the crops, and its cameras' rotations (F,3,3)."""
    if not subject.truth.exists():
        return None
    crop = json.loads((subject.directory("frames") / "crop.json").read_text())
    box, source = crop["box"], crop["source_frames"][:count]
    with np.load(subject.truth) as npz:
        rotation, *_ = crop_camera(npz["R"], npz["t"], npz["intrinsics"], box, layout.IMAGE_SIZE)
        marks = (npz["landmarks"][source] - box[:2]) * layout.IMAGE_SIZE / box[2]
    return marks, rotation[source]


def generate(folder: Path, groups: list) -> None:
    """Stand-ins for all that flame-head-tracker reads, its 68 landmarks where ours lie on the same head."""
    from avatarmake.head_model.flame import surface
    from tests import flame_model
    from tests.flame_head_tracker import standins

    landmarker = assets.need("face_landmarker").read_bytes()
    standins.make(folder, groups)
    (folder / assets.manifest()["face_landmarker"].file).write_bytes(landmarker)
    os.environ["AVATARMAKE_ASSETS"] = str(folder)
    head, flame = head_model.load("flame"), flame_model.arrays()
    spots = head.landmarks(head.v_template[None])[0][groups].mean(1).astype(np.float64)
    corners = flame["v_template"][flame["f"].astype(int)]
    _, triangle, weights = surface.closest(spots, corners)
    place = folder / assets.manifest()["flame_landmark_embedding"].file
    known = standins.embedding([list(g) for g in groups])
    known |= {"static_lmk_faces_idx": triangle[OUTLINE:].astype(np.uint32), "static_lmk_bary_coords": weights[OUTLINE:]}
    known |= {"full_lmk_faces_idx": triangle[None], "full_lmk_bary_coords": weights[None]}
    np.save(place, known, allow_pickle=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "trackers")
    parser.add_argument("--id", default="demo")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    subject = Subject(options.data.absolute(), options.id)
    subprocess.run(["make", "frames", f"ID={options.id}", f"DATA={subject.data}"], cwd=ROOT, check=True)
    copy = str(patches.prepare(STAGE.upstream))
    os.environ |= {"AVATARMAKE_UPSTREAM": copy, "AVATARMAKE_CACHE": str(subject.data / ".cache")}
    sys.path.insert(0, copy)
    from utils.mp2dlib import mp2dlib_correspondence as groups

    generated = not any(assets.find(name) for name in assets.FLAME)
    if generated:
        generate(subject.data / "assets", groups)
    frames = subject.directory("frames")
    pictures = [images.read_rgb(layout.frame_image(frames, i + 1)).copy() for i in range(options.frames)]
    with FaceLandmarker(assets.need("face_landmarker")) as landmarker:
        detected = np.stack([landmarker.examine(picture)[0][:, :2] for picture in pictures]).astype(np.float32)
    head = head_model.load("flame")
    fitted = points.chosen("face", head.landmark_ids)
    crop = json.loads((frames / "crop.json").read_text())
    side = crop["box"][2] / layout.IMAGE_SIZE
    focal = identity.focal_guess((crop["source"]["width"] / side, crop["source"]["height"] / side))
    given = (head.at_landmarks(fitted), points.TRUST[fitted], focal, SIZE, parameters.priors(25.0))
    person = identity.from_samples(detected, *given)
    truth = true_course(subject, options.frames)
    heads = ["tracker", "ms a frame", "error, px", "jitter, px"]
    heads += ["landmarks from the truth, px", "rotation from the truth, degrees"] if truth else []
    found = [ours(head, person, detected), theirs(head, person, pictures, options.device, generated)]
    rows = [heads, ["---"] * len(heads), *(row(f, groups, detected, truth) for f in found)]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in rows))
    print(f"jitter of the detections: {jitter.jitter_px(detected[:, jitter.RIGID]):.3f} px; {options.frames} frames")


if __name__ == "__main__":
    main()
