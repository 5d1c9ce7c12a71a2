"""The page's modules against Python: the same parameters give the same Gaussians, splats and frames. Run by node."""

import io
import re
import shutil
import subprocess

import numpy as np
import pytest

from avatarmake import ROOT
from avatarmake.avatar import tracked
from avatarmake.avatar.deformation import raw_code
from avatarmake.avatar.model import view_of
from avatarmake.avatar.projection import project
from avatarmake.geometry import rotations
from stages.view import content, packing
from tests.view.conftest import JAVASCRIPT, unpacked

MODULES = [*sorted((ROOT / "stages" / "view" / "page").glob("*.js")), ROOT / "stages" / "live" / "live.js"]
NAMES = ("means", "axes", "opacities", "colours")
HALF, STEP = 2.0**-11, 1 / 65534  # relative errors of a half, and of one of `steps`' numbers, by the largest


def flat(array) -> list:
    return np.asarray(array, np.float64).ravel().tolist()


def test_what_evaluate_gives(node, subject, avatar, poses):
    """Tolerances follow from what packing rounds, with room for its way through sums of up to 48 terms."""
    own = tracked.of_dataset(subject.directory("refined"), "small")
    packed = packing.pack(content.facts(avatar, own), content.arrays(avatar, own))
    expected, places = [], []
    for pose in poses:
        p, view, turn, translation, body = unpacked(pose)
        code = avatar.deformation.code(raw_code(*p, view).astype(np.float32))
        found = dict(zip(NAMES, map(flat, avatar.gaussians(p, view, body)), strict=True))
        expected.append({"code": flat(code), "vertices": flat(avatar.head.vertices(p, body)), "gaussians": found})
        focal = avatar.camera(200).fx
        places.append({"rotation": flat(turn), "translation": flat(translation), "focal": focal})
    d, s = avatar.deformation, avatar.surface
    size = np.abs(avatar.head.basis).max((1, 2))
    moved = max(float(np.abs([*p["expression"], *p["eyelids"]]) @ size) for p in poses)
    vertices = moved * STEP + 2e-6  # and the rounding of places half a metre away
    learned = HALF * (8 + 48 * np.abs(d.out).max() * np.abs(d.latent).max())
    means = vertices + float(s.spacing.max()) * 12 * learned
    within = {
        "code": 1e-4, "vertices": vertices, "means": means, "axes": 4 * float(s.spacing.max()) * learned,
        "opacities": learned, "colours": learned,
    }  # fmt: skip
    turns = [[0, 0, 0], [1e-8, 0, 0], [0.3, -0.2, 0.1], [0, 3.1, 0]]
    rows = [{"turn": t, "rows": flat(rotations.matrix_from_axis_angle(np.array(t, np.float64)))} for t in turns]
    values = {"poses": poses, "expected": expected, "cameras": places, "rotations": rows, "within": within}
    node("evaluate", values, packed=packed.encode())


def test_what_draw_projects(node, avatar, poses):
    p, view, rotation, translation, body = unpacked(poses[6])
    gaussians, rotation = avatar.gaussians(p, view, body), rotation.astype(np.float32)
    camera = avatar.camera(96)
    splats, boxes, keys = project(*gaussians, rotation, translation, *map(np.float32, camera[:4]), *camera[4:])
    order = np.argsort(keys)[::-1]
    seen = order[np.isfinite(splats[order]).all(1) & (splats[order, 5] > 0)]
    place = dict(zip(("fx", "fy", "cx", "cy", "width", "height"), map(float, camera), strict=True))
    place |= {"rotation": flat(rotation), "translation": flat(translation)}
    values = {"gaussians": dict(zip(NAMES, map(flat, gaussians), strict=True)), "camera": place}
    node("draw", values | {"splats": splats[seen].astype(np.float64).tolist()})


def test_a_file_of_parameters(node, subject, avatar, tmp_path):
    own = tracked.of_dataset(subject.directory("refined"), "small")
    own.write(tmp_path / "own.npz")
    with np.load(tmp_path / "own.npz") as arrays:
        deflated, other = io.BytesIO(), io.BytesIO()
        np.savez_compressed(deflated, **arrays)
    np.savez(other, a=np.zeros(3))
    body, frames = avatar.body(own), []
    for i in range(len(own)):
        p = own.parameters(i)._asdict() | {"view": view_of(own.R[i]), "translation": own.t[i]}
        p |= {"body_view": view_of(own.R[i] @ body.turn[i]), "body_translation": own.R[i] @ body.shift[i] + own.t[i]}
        frames.append({name: flat(value) for name, value in p.items()})
    values = {"joints": flat(avatar.head.joints), "seconds": avatar.seconds, "frames": frames}
    values |= {"digest": own.head_model_digest, "times": flat(own.times - own.times[0])}
    files = {"stored": (tmp_path / "own.npz").read_bytes(), "deflated": deflated.getvalue(), "other": other.getvalue()}
    node("performance", values, **files)


@pytest.mark.parametrize("module", [*MODULES, *sorted(JAVASCRIPT.glob("*.js"))], ids=lambda path: path.name)
def test_style(module):
    """What a linter would say, as far as it needs none."""
    text = module.read_text()
    assert not re.search(r"\bvar\b|[^=!]==[^=]|!=[^=]|console\.|debugger|\t| $", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 120 and text.endswith("\n")
    names = re.findall(r"import \{ ([^}]+) \}", text)
    for name in (part.split(" as ")[-1].strip() for part in ",".join(names).split(",") if part.strip()):
        assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is imported and not used"
    if shutil.which("node"):
        subprocess.run(["node", "--check", str(module)], check=True)


def test_modules_of_the_page_stand_alone():
    """Only the page's own script imports: what an import map names are addresses without a folder."""
    for module in MODULES:
        assert module.name == "page.js" or "import " not in re.sub(r"//.*", "", module.read_text()), module.name
