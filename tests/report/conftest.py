"""A finished subject in miniature: every file that the report reads, made up."""

import contextlib
import io
import json
from functools import cache

import numpy as np
import pytest
from PIL import Image

from avatarmake import head_model
from avatarmake.contract import layout
from avatarmake.contract.command import command
from avatarmake.errors import Exit
from avatarmake.formats import images
from avatarmake.geometry import cameras
from stages.convert import STAGE as CONVERT
from stages.convert import __main__ as convert
from stages.report import STAGE, __main__
from tests import synthetic
from tests.train import subject as small

FRAMES, RESOLUTION = 12, 64
LAST, BLOCKS = [11, 12], [4]
LIVE = '<!doctype html><p class="live">the avatar</p><script>1 < 2</script>'


@pytest.fixture(scope="session")
def head():
    return synthetic.small_head()


@pytest.fixture(autouse=True)
def small_model(head, monkeypatch):
    monkeypatch.setattr(head_model, "load", lambda name: head)


@cache
def picture(index):
    """A round face that wanders over a blue ground."""
    y, x = np.mgrid[:512, :512]
    face = np.hypot(x - 256 - 5 * index, y - 256) < 140
    return np.where(face[..., None], [200, 150, 120], [40, 60, 160]).astype(np.uint8), face


def write_masks(root):
    for folder in ("alpha", "parsing"):
        (root / folder).mkdir(parents=True)
    for n in range(1, FRAMES + 1):
        face = picture(n - 1)[1]
        mask = np.where(face, 255, 0).astype(np.uint8)
        images.write_jpeg(layout.alpha_mask(root, n), mask)
        images.write_png(layout.parsing_mask(root, n, "neckhead"), mask)
        mouth = np.zeros((512, 512), np.uint8)
        mouth[330:350, 230:290] = 255
        images.write_png(layout.parsing_mask(root, n, "mouth"), mouth)


def write_avatar(root, last, blocks):
    for folder in ("test", "previews"):
        (root / folder).mkdir(parents=True)
    splits = {}
    for name, numbers in (("last", last), ("blocks", blocks)):
        rows = [{"frame": n, "psnr_full": 30.0 - n, "psnr_head": 27.0 - n, "ssim": 0.9} for n in numbers]
        for n in numbers:
            rendered = np.full((RESOLUTION, RESOLUTION, 3), 255, np.uint8)
            rendered[16:48, 16:48] = (210, 140, 110)
            images.write_png(root / "test" / f"{n:05d}.png", rendered)
        means = {k: float(np.mean([r[k] for r in rows])) if rows else None for k in ("psnr_full", "psnr_head", "ssim")}
        fit = {"frames": numbers[:1], "as_tracked": means, "as_fitted": {k: v and v + 2 for k, v in means.items()}}
        splits[name] = {"frames": numbers, **means, "per_frame": rows, "fit": fit}
    evaluation = {
        "resolution": RESOLUTION,
        "gaussians": 500,
        "iterations": 40,
        "note": "a <b>note</b>",
        "splits": splits,
    }
    (root / "evaluation.json").write_text(json.dumps(evaluation))
    curve = [
        {"step": 10 * k, "loss": 1 / k, "psnr_full": 20.0 + k, "psnr_head": None}
        for k in (1, 2, 3)
    ]
    (root / "curve.json").write_text(json.dumps(curve))
    for step in (10, 40):
        images.write_jpeg(root / "previews" / f"{step}.jpg", np.zeros((64, 128, 3), np.uint8))


def true_masks(box):
    """Of every sixth source frame: the face that write_masks() draws, all of it head, in the video's picture."""
    frames = np.arange(0, 2 * FRAMES, 6)
    masks = np.zeros((len(frames), 512, 640), np.uint8)
    for mask, k in zip(masks, frames, strict=True):
        mask[box[1] : box[1] + 512, box[0] : box[0] + 512] = np.where(picture(k // 2)[1], 255, 0)
    return {"mask_frames": frames, "mask_alpha": masks, "mask_head": masks}


def write_truth(path, head, box=(64, 0, 512)):
    """Truth that the tracker of synthetic.py hit exactly, seen by a camera whose centre is the crop's."""
    there = [synthetic.performance(i) for i in range(FRAMES) for _ in range(2)]  # every second source frame is used
    r, t = cameras.extrinsics_from_cam(np.stack([p.cam for p in there]))
    k = np.array([[1300.0, 0, box[0] + 256], [0, 1300, box[1] + 256], [0, 0, 1]])
    landmarks = []
    for i, p in enumerate(there):
        v = head.vertices(p.shape, p.expression[None], p.jaw_pose[None], p.eye_pose[None], p.eyelids[None])
        landmarks.append(cameras.project(head.landmarks(v)[0], r[i], t[i], k))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path, shape=there[0].shape, expression=[p.expression for p in there], jaw_pose=[p.jaw_pose for p in there],
        eye_pose=[p.eye_pose for p in there], eyelids=[p.eyelids for p in there], R=r, t=t, intrinsics=k,
        image_size=(640, 512), landmarks=landmarks, fps=25, **true_masks(box),
    )  # fmt: skip


def make(data, head, last, blocks):
    subject = synthetic.tracked_subject(data, head, frames=FRAMES)
    for n in range(1, FRAMES + 1):
        Image.fromarray(picture(n - 1)[0]).save(layout.frame_image(subject.directory("frames"), n), quality=95)
    error = {"median": 1.25, "p95": 2.5}
    facts = {"landmark_error_px": error, "landmark_error_pct": error, "jitter_px": 0.5, "jitter_px_raw": 0.8}
    synthetic.finish(subject.directory("tracking"), **facts)
    assert command(CONVERT, convert.run, [subject.name, "--data", str(data)]) == 0
    write_masks(subject.directory("masks"))
    write_avatar(subject.directory("avatar"), last, blocks)
    synthetic.finish(subject.directory("masks"), images=FRAMES)
    small.refined(subject.root)
    synthetic.finish(subject.directory("avatar"))
    subject.directory("view").mkdir()
    (subject.directory("view") / "index.html").write_text(LIVE)
    synthetic.finish(subject.directory("view"), live=True)
    return subject


@pytest.fixture
def finished(tmp_path, head):
    """Makes the subject; last and blocks are its held-out frames."""

    def build(last=LAST, blocks=BLOCKS, truth=False):
        subject = make(tmp_path / "data", head, last, blocks)
        if truth:
            write_truth(subject.truth, head)
        return subject

    return build


@pytest.fixture(scope="module")
def reported(tmp_path_factory, head):
    """One subject, reported once, for tests that only look: (subject, what was printed)."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setattr(head_model, "load", lambda name: head)
        subject = make(tmp_path_factory.mktemp("reported"), head, LAST, BLOCKS)
        assert command(STAGE, __main__.run, [subject.name, "--data", str(subject.data)]) == Exit.OK
    return subject, out.getvalue()


@pytest.fixture
def report(capsys):
    """Run the stage: (exit code, stdout, stderr)."""

    def run(subject, *options):
        code = command(STAGE, __main__.run, [subject.name, "--data", str(subject.data), *options])
        return code, *capsys.readouterr()

    return run
