"""How far right label maps are from wrong ones, by what stages/mask/{numbering,agreement}.py go by.

    python -m bench.labels [--portraits FOLDER] [--datasets data/ID/dataset ...]

FOLDER holds <name>.jpg and <name>_labels.png, BiSeNet's map of it; the open head is laid on each by its pose alone.
Prints how well each numbering fits, how much of the head the map covers, and how far its face lies from the head's.
For a dataset it prints how often maps that are one number late are found, and right ones kept, in 200 draws of the
images that are looked at, when the maps' centres shake by so many pixels.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from avatarmake import head_model
from avatarmake.contract.layout import checkpoint_file
from avatarmake.detection import FaceMesh
from avatarmake.formats.descriptions import read_index
from avatarmake.formats.frame import FrameRecord, read_frame
from avatarmake.formats.images import LABEL, read_labels, read_rgb, resize, resize_labels
from avatarmake.geometry import cameras
from stages.mask import agreement, audit, numbering
from stages.mask.geometry import HeadProjector, HeadView

FOCAL, SIZE, DRAWS = 1500.0, (512, 512), 200
SHAKING = (0.3, 0.6, 1.0)  # pixels


def laid_on(image: np.ndarray) -> HeadView:
    """The neutral open head where the face is."""
    model = head_model.load("open")
    with FaceMesh() as mesh:
        seen = mesh.detect(image)[model.landmark_ids, :2].astype(np.float64)
    points = model.landmarks(model.v_template[None])[0].astype(np.float64)
    intrinsics = cameras.intrinsics_from_focal(FOCAL, SIZE)
    guess = np.array([[np.pi], [0], [0]]), np.array([[0.0], [0], [1]])
    _, r, t = cv2.solvePnP(points, seen, intrinsics, None, *guess, useExtrinsicGuess=True)
    level, nothing = np.eye(3)[:2].ravel(), np.zeros(300)
    pose = {"R": cv2.Rodrigues(r)[0], "t": t[:, 0], "intrinsics": intrinsics}
    record = FrameRecord(nothing, nothing[:100], level, np.tile(level, 2), nothing[:2], **pose)
    return HeadProjector(model, nothing).views([record])[0]


def portrait(image: Path, labels: Path) -> str:
    view = laid_on(resize(read_rgb(image), SIZE))
    right = resize_labels(read_labels(labels), SIZE)
    fits = numbering.scores(numbering.at_places(right, view))
    face = agreement.face(right, view)
    away = 1000 * np.linalg.norm(face.centre - face.head) / face.scale
    lips = np.isin(right, agreement.MOUTH)
    # CelebAMask-HQ's map read as BiSeNet's: its lips, and its hair for a lip
    hair = np.isin(right, [LABEL[name] for name in ("upper_lip", "lower_lip", "hair")])
    off = [audit.off_the_lips(np.where(mask, 255, 0).astype(np.uint8), view) for mask in (lips, hair)]
    told = ", ".join(f"{name} {fit:.2f}" for name, fit in fits.items())
    return (
        f"{image.stem}: {told}; {face.covered:.0%} of the head covered, face {away:.0f} mm away; "
        f"off the lips {off[0]:.2f}, with hair {off[1]:.2f}"
    )


def motion(dataset: Path) -> list[str]:
    count = len(read_index(dataset / "index.json", dataset.parent.name)["images"])
    records = [read_frame(checkpoint_file(dataset, i)) for i in range(count)]
    views = HeadProjector(head_model.load("open"), records[0].shape).views(records)
    heads, rng = np.array([agreement.head_centre(view) for view in views]), np.random.default_rng(0)
    step = np.linalg.norm(np.diff(heads, axis=0), axis=1).mean()
    lines = [f"{dataset}: {step:.1f} px of motion a frame"]
    for shaking in SHAKING:
        kept = found = 0
        for _ in range(DRAWS):
            maps = heads + rng.normal(0, shaking, heads.shape)
            at = np.unique([k + s for k in rng.integers(1, count - 2, agreement.PAIRS) for s in (0, 1)])
            kept += agreement.better_shift({s: maps[at + s] for s in agreement.SHIFTS}, heads[at]) == 0
            found += agreement.better_shift({s: maps[at + s - 1] for s in agreement.SHIFTS}, heads[at]) == 1
        lines.append(f"    shaking by {shaking} px: right ones kept {kept / DRAWS:.0%}, late found {found / DRAWS:.0%}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--datasets", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    for labels in sorted(options.portraits.glob("*_labels.png")) if options.portraits else ():
        print(portrait(labels.with_name(labels.name.replace("_labels.png", ".jpg")), labels))
    for dataset in options.datasets:
        print(*motion(dataset), sep="\n")


if __name__ == "__main__":
    main()
