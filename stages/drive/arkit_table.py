"""Makes arkit.csv: what each of ARKit's 52 blendshapes does to the open head.

    python -m stages.drive.arkit_table

Apple publishes the shapes' names and what each is in words, and no geometry. So each is put together here of the open
head's named expressions, whole or of one side of the face, by those words; and that displacement is fitted by the basis
of all 100 expressions, least squares over the vertices. Jaw, gaze and lids have parameters of their own.
Source of the names and of what they mean: Apple, ARFaceAnchor.BlendShapeLocation.
"""

import csv

import numpy as np

from avatarmake import head_model
from avatarmake.head_model.bases import NAMED
from avatarmake.head_model.model import HeadModel
from stages.drive.arkit import TABLE

RIDGE = 1e-8  # m^2 for a coefficient's square: a tenth of a millimetre at one vertex
SMALLEST = 0.02  # standard deviations: less is left out
EDGE = 0.012  # metres over which one side of the face fades into the other

# name of both sides, less "Left" and "Right" -> named expressions and how much of each
SIDED = {
    "eyeSquint": {"squint": 1.2},
    "eyeWide": {"upper_lid_raise": 1.5},
    "browDown": {"brow_knit": 1.5},
    "browOuterUp": {"brow_outer_up": 2.0},
    "cheekSquint": {"cheek_raise": 1.5},
    "noseSneer": {"nose_wrinkle": 1.5},
    "mouthSmile": {"smile": 2.2},
    "mouthFrown": {"lip_corner_down": 2.0},
    "mouthDimple": {"lip_corner_in": 2.0},
    "mouthStretch": {"lips_stretch": 1.8},
    "mouthPress": {"lips_apart": -1.0, "lip_corner_in": 0.5},
    "mouthLowerDown": {"lower_lip_down": 2.0},
    "mouthUpperUp": {"upper_lip_raise": 2.0},
}
WHOLE = {
    "browInnerUp": {"brow_inner_up": 2.0},
    "cheekPuff": {"cheek_puff": 2.0},
    "jawForward": {"jaw_forward": 2.0},
    "mouthClose": {"lower_lip_down": -2.5, "upper_lip_raise": -1.0, "lips_apart": -1.0},
    "mouthFunnel": {"pucker": 1.0, "lips_apart": 2.0},
    "mouthPucker": {"pucker": 2.2},
    "mouthLeft": {"mouth_sideways": 2.0},
    "mouthRight": {"mouth_sideways": -2.0},
    "mouthRollLower": {"lower_lip_roll": 2.0},
    "mouthRollUpper": {"upper_lip_roll": 2.0},
    "mouthShrugLower": {"chin_raise": 2.0},
    "mouthShrugUpper": {"upper_lip_raise": 1.0, "chin_raise": 0.5},
    "tongueOut": {},  # the open head's tongue stays in
}
# group, column, value at 1: radians, or the way to closed. Positive x opens the jaw and lowers the gaze, positive y
# goes to the subject's left
DIRECT = {
    "jawOpen": ("jaw_pose", 0, 0.42),
    "jawLeft": ("jaw_pose", 1, 0.12),
    "jawRight": ("jaw_pose", 1, -0.12),
    "eyeBlinkLeft": ("eyelids", 0, 1.0),
    "eyeBlinkRight": ("eyelids", 1, 1.0),
    "eyeLookDownLeft": ("eye_pose", 0, 0.44),
    "eyeLookDownRight": ("eye_pose", 3, 0.44),
    "eyeLookUpLeft": ("eye_pose", 0, -0.38),
    "eyeLookUpRight": ("eye_pose", 3, -0.38),
    "eyeLookInLeft": ("eye_pose", 1, -0.52),
    "eyeLookInRight": ("eye_pose", 4, 0.52),
    "eyeLookOutLeft": ("eye_pose", 1, 0.52),
    "eyeLookOutRight": ("eye_pose", 4, -0.52),
}


def fitted(model: HeadModel) -> dict[str, np.ndarray]:
    """Shape -> expression (100,), of those that are not DIRECT."""
    wanted = {name: field(model, mix) for name, mix in WHOLE.items()}
    for name, mix in SIDED.items():
        wanted |= {name + word: field(model, mix, sign) for word, sign in (("Left", 1), ("Right", -1))}
    basis = model.exprdirs.astype(np.float64).reshape(-1, model.exprdirs.shape[-1])
    normal = basis.T @ basis + RIDGE * np.eye(basis.shape[1])
    return {name: np.linalg.solve(normal, basis.T @ target.ravel()) for name, target in wanted.items()}


def field(model: HeadModel, mix: dict[str, float], side: int = 0) -> np.ndarray:
    """(V,3) metres: named expressions by how much of each; side 1 is the subject's left, -1 their right, 0 both."""
    names = list(NAMED)
    total = np.zeros(model.v_template.shape)
    for name, amount in mix.items():
        total += amount * model.exprdirs[..., names.index(name)]
    share = np.clip(0.5 + side * model.v_template[:, 0] / EDGE, 0, 1) if side else np.ones(len(total))
    return total * (share * share * (3 - 2 * share))[:, None]


def main() -> None:
    rows = []
    for name, values in fitted(head_model.load("open")).items():
        kept = [("expression", k, round(v, 3)) for k, v in enumerate(values) if abs(v) >= SMALLEST]
        rows += [(name, *row) for row in kept or [("", "", "")]]
    rows += [(name, *row) for name, row in DIRECT.items()]
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["shape", "group", "column", "value"])
        writer.writerows(sorted(rows, key=lambda row: row[0]))
    print(f"{len({row[0] for row in rows})} shapes, {len(rows)} rows")


if __name__ == "__main__":
    main()
