"""ARKit's blendshapes: the table, and files as tools write them."""

import csv
from pathlib import Path

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.avatar.head import Parameters
from avatarmake.avatar.performance import Performance
from avatarmake.errors import Exit
from stages.drive import arkit, arkit_table
from tests.drive.conftest import drive

NAMES = sorted({line.split(",")[0] for line in arkit.TABLE.read_text().splitlines()[1:]})
SMILES = ("mouthSmileLeft", "mouthSmileRight")


def displaced(**amounts: float) -> np.ndarray:
    """(V,3) what these shapes do to the open head."""
    model = head_model.load("open")
    names = [name.lower() for name in amounts]
    p = arkit.parameters(np.array([list(amounts.values())], np.float32), names)
    return model.vertices(np.zeros(300, np.float32), *p)[0] - model.v_template


def test_the_table_is_what_its_script_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(arkit_table, "TABLE", tmp_path / "arkit.csv")
    arkit_table.main()

    def values(path: Path) -> dict:
        with path.open(newline="") as file:
            return {(r["shape"], r["group"], r["column"]): float(r["value"] or 0) for r in csv.DictReader(file)}

    here, made = values(arkit.TABLE), values(tmp_path / "arkit.csv")
    for key in here.keys() | made.keys():  # processors differ in the last digit, which may be what is left out
        assert abs(here.get(key, 0) - made.get(key, 0)) < 0.025, key


def test_all_52_are_there():
    assert len(NAMES) == 52 and {"tongueOut", "jawOpen", "eyeBlinkLeft", "cheekPuff"} <= set(NAMES)


def test_both_halves_of_a_smile_are_a_smile():
    model = head_model.load("open")
    smile = 2.2 * model.exprdirs[..., 0]
    both = displaced(mouthSmileLeft=1, mouthSmileRight=1)
    assert np.linalg.norm(both - smile) < 0.02 * np.linalg.norm(smile)


def test_one_side_moves_that_side():
    model = head_model.load("open")
    left = model.v_template[:, 0] > 0.015
    right = model.v_template[:, 0] < -0.015
    for name in ("mouthSmile", "browOuterUp", "mouthFrown", "eyeSquint"):
        moved = np.linalg.norm(displaced(**{f"{name}Left": 1.0}), axis=1)
        assert np.linalg.norm(moved[left]) > 3 * np.linalg.norm(moved[right]), name


def test_jaw_gaze_and_lids_go_where_their_names_say():
    model = head_model.load("open")
    chin, corner = 152, 291  # MediaPipe's: the chin, the left corner of the mouth
    assert displaced(jawOpen=1)[chin, 1] < -0.01
    assert displaced(jawLeft=1)[chin, 0] > 0.003 > -0.003 > displaced(jawRight=1)[chin, 0]
    assert displaced(mouthLeft=1)[corner, 0] > 0.002 > -0.002 > displaced(mouthRight=1)[corner, 0]
    left, right = model.landmark_vertices[473, 0], model.landmark_vertices[468, 0]  # the irises' middles
    assert displaced(eyeLookOutLeft=1)[left, 0] > 0.003 and displaced(eyeLookInLeft=1)[left, 0] < -0.003
    assert displaced(eyeLookOutRight=1)[right, 0] < -0.003 and displaced(eyeLookUpRight=1)[right, 1] > 0.003
    assert displaced(eyeBlinkLeft=1)[386, 1] < -0.004 and abs(displaced(eyeBlinkLeft=1)[159, 1]) < 1e-6


def live_link(path: Path, rows: int = 12) -> Path:
    """As Live Link Face writes it: capitals, a time code of 60 frames a second, rows without a face."""
    names = [name[0].upper() + name[1:] for name in NAMES]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["Timecode", "BlendShapeCount", *names, "HeadYaw", "HeadPitch", "HeadRoll"])
        for k in range(rows):
            values = [0.5 if name in ("JawOpen", "EyeBlinkLeft") and k > 5 else 0 for name in names]
            seconds, frame = 58 + (k + 56) // 60, (k + 56) % 60
            time = f"23:59:{seconds:02}:{frame:02}.250"
            out.writerow([time, 0] if k == 3 else [time, 61, *values, 0.1, 0, 0])
    return path


def test_live_link_s_file(subjects, tmp_path):
    p = Performance.read(drive(subjects, str(live_link(tmp_path / "face.csv"))) / "parameters.npz")
    assert len(p) == 11 and np.allclose(np.diff(p.times), [1 / 60, 1 / 60, 2 / 60] + [1 / 60] * 7)
    assert p.jaw_pose[-1, 0] > p.jaw_pose[0, 0] + 0.05
    assert p.eyelids[-1, 0] > p.eyelids[0, 0] + 0.3 and p.eyelids[-1, 1] == p.eyelids[0, 1]


def test_mediapipe_s_names_in_another_order(tmp_path):
    path = tmp_path / "face.csv"
    names = ["_neutral", *reversed(NAMES)]
    rows = [[f"{40 * k}", *(0.25 * (name in SMILES) * k for name in names)] for k in range(4)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [["timestamp_ms", *names], *rows]))
    times, shapes, known = arkit.columns(path)
    assert np.allclose(times, [0, 0.04, 0.08, 0.12]) and len(known) == 52
    p = arkit.parameters(shapes, known)
    assert isinstance(p, Parameters) and np.allclose(p.expression[:, 0], 0.25 * 2.2 * np.arange(4), atol=0.02)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("Timecode", "Zeit"), "says when"),
        (lambda text: text.replace("Mouth", "Mund").replace("Eye", "Auge"), "of ARKit's 52"),
        (lambda text: text.replace("0.5", "much", 1), "line 8 cannot be read"),
        (lambda text: text.replace("23:59", "23.59"), "Timecode is"),
        (lambda text: text.splitlines()[0], "no row with a face"),
        (lambda text: "", "of ARKit's 52"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(subjects, tmp_path, capsys, change, said):
    path = live_link(tmp_path / "face.csv")
    path.write_text(change(path.read_text()))
    drive(subjects, str(path), code=Exit.BAD_INPUT)
    assert said in capsys.readouterr().err
