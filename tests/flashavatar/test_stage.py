"""The stage: what it asks for and refuses, everywhere; and the whole of it where the upstream checkout is."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from avatarmake import assets, head_model, patches
from avatarmake.avatar import foreign
from avatarmake.avatar.model import Avatar
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, alpha_mask, dataset_image, parsing_mask
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from avatarmake.patches import checkout
from stages.flashavatar import LPIPS, PERCEPTION, READS, STAGE, FlashAvatarConfig
from stages.flashavatar import __main__ as stage
from stages.flashavatar.frames import Frames
from stages.flashavatar.trainer import Trainer
from stages.train import evaluation
from stages.train.dataset import Dataset
from stages.view import STAGE as VIEW
from stages.view.__main__ import run as view
from tests.train import subject as small

FRAMES, STEPS = 12, 6
OPTIONS = (f"--iterations={STEPS}", "--resolution=256", "--device=cpu", "--checkpoint-every=3")


@pytest.fixture(scope="module")
def given(patched, weights, tmp_path_factory):
    """What the engines give the stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATARMAKE_ASSETS", str(weights))
        patch.setenv("AVATARMAKE_UPSTREAM", str(patched))
        patch.setenv("AVATARMAKE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        torch.set_num_threads(1)
        yield patch


def train(subject: Subject, *options) -> Exit:
    return command(STAGE, stage.run, [subject.name, f"--data={subject.data}", *OPTIONS, *options])


@pytest.fixture
def untrained(given, tracked) -> Subject:
    made = tracked(FRAMES)
    small.refined(made.root)
    return made


@pytest.fixture(scope="module")
def trained(given, tmp_path_factory) -> Subject:
    from tests.flashavatar_tree import subject as subjects

    digest = head_model.load("flame").digest
    made = subjects.write(tmp_path_factory.mktemp("volume"), FRAMES, "flame", digest)
    small.refined(made.root)
    assert train(made) == Exit.OK
    return made


# --- where the checkout is -------------------------------------------------------------------------------------------


def test_it_writes_what_train_writes(trained, patched):
    avatar = trained.directory("avatar")
    result = json.loads((avatar / "evaluation.json").read_text())
    assert (result["trainer"], result["iterations"], result["resolution"]) == ("FlashAvatar", STEPS, 256)
    assert 500 < result["gaussians"] < 3000
    held = {name: part["frames"] for name, part in result["splits"].items()}
    assert held == {"last": [12], "blocks": [6]} and result["train_frames"] == 10
    for name, part in result["splits"].items():
        assert part.keys() == {"frames", "per_frame", *evaluation.FIGURES}
        assert part["psnr_full"] > 5 and part["psnr_dark"] is not None, name
    dataset = Dataset(trained.directory("dataset"), trained.directory("masks"), trained.name)
    shown = images.read_rgb(avatar / "test" / "00012.png")
    assert shown.shape == (256, 256, 3) and (shown[:5] == 255).all()
    frames = Frames(None, dataset, (1.0, 1.0, 1.0), torch.device("cpu"))
    again = evaluation.measure(shown, frames.picture(11, 256))
    assert again["psnr_full"] == pytest.approx(result["splits"]["last"]["psnr_full"], abs=1e-3)
    curve = json.loads((avatar / "curve.json").read_text())
    assert [point["step"] for point in curve] == [3, 6] and curve[1]["loss"] < curve[0]["loss"]
    assert [p.name for p in (avatar / "previews").iterdir()] == ["6.jpg"]
    assert (avatar / "canonical.ply").read_bytes().startswith(b"ply\n")
    facts = receipt(avatar)["facts"]
    assert facts["device"] == "cpu" and facts["frames_out"] == 10 and len(facts["curve_seconds"]) == 2
    assert not (avatar / ".seconds.json").exists() and not list(patched.rglob("__pycache__"))


def test_its_checkpoint_is_upstream_s(trained):
    """What its own test.py takes apart: the network, the Gaussians, both with their Adams, and the step."""
    deformation, gaussians, step = torch.load(trained.directory("avatar") / foreign.CHECKPOINT, weights_only=True)
    assert step == STEPS and len(deformation) == 2 and len(gaussians) == 12
    assert deformation[0]["fcs.0.weight"].shape == (256, 171)
    degree, points, constant = gaussians[:3]
    assert degree == 0 and points.shape == (len(constant), 3) and constant.shape[1:] == (1, 3)
    assert deformation[1]["state"][0]["step"] == STEPS  # the last step was taken too


def test_a_killed_run_goes_on_to_the_same_avatar(trained, untrained, monkeypatch, capsys):
    step = Trainer.step

    def killed(trainer):
        if trainer.steps == 4:
            raise KeyboardInterrupt
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", killed)
    assert train(untrained) == 130
    monkeypatch.setattr(Trainer, "step", step)
    assert train(untrained) == Exit.OK
    assert "going on at step 3" in capsys.readouterr().out
    ours, whole = (s.directory("avatar") for s in (untrained, trained))
    for name in ("curve.json", "evaluation.json", "canonical.ply", foreign.CHECKPOINT, "test/00012.png"):
        assert (ours / name).read_bytes() == (whole / name).read_bytes(), name


def test_degrees_and_lpips_begin_when_upstream_begins_them(untrained):
    """Degree by degree at 500, 1,000, 1,500 and no further; LPIPS from step 15,001, of the head, a twentieth of it."""
    job = type("Job", (), {})()
    job.config = FlashAvatarConfig(iterations=PERCEPTION + 1, resolution=256, device="cpu")
    job.read, job.subject, job.out, job.resumed = untrained.directory, untrained, untrained.root, False
    trainer = stage.prepare(job)
    seen = []

    def perceived(a, b):
        seen.append((a, b))
        return torch.full((1, 1, 1, 1), 2.0)

    trainer._perceived = perceived
    degrees = {}
    for number in (1, 499, 500, 501, 1000, 1500, 2000, PERCEPTION, PERCEPTION + 1):
        trainer.steps = number - 1
        degrees[number], loss = trainer.gaussians.active_sh_degree, trainer.step()[0]
        assert (loss > 0.1) == (number > PERCEPTION)  # 0.05 of 2, and Huber's part
    assert list(degrees.values()) == [0, 0, 0, 1, 1, 2, 3, 3, 3] and trainer.gaussians.active_sh_degree == 3
    (ours, theirs), = seen
    head = trainer.frames.camera(trainer.schedule.frame(PERCEPTION, trainer.split.train), 256).head_mask
    outside = head[0] == 0
    assert (ours[:, outside] == -1).all() and (theirs[:, outside] == -1).all() and (theirs[:, ~outside] > -1).any()


def test_view_says_why_not_and_drive_where_to_go(trained, tmp_path, capsys):
    assert command(VIEW, view, [trained.name, f"--data={trained.data}"]) == Exit.OK
    text = (trained.directory("view") / "index.html").read_text()
    assert "trained by FlashAvatar" in text and "<script" not in text
    assert receipt(trained.directory("view"))["facts"]["live"] is False
    with pytest.raises(StageError, match="only `make report` shows it. For one .*: make train .* TRAINER=avatarmake"):
        Avatar.read(trained)


@pytest.mark.parametrize("name", [names[0] for names in READS])
def test_a_missing_asset_is_one_line(untrained, given, weights, tmp_path, monkeypatch, capsys, name):
    folder = tmp_path / "assets"
    shutil.copytree(weights, folder)
    (folder / assets.manifest()[name].file).unlink()
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(folder))
    assert train(untrained) == Exit.MISSING_ASSET
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and str(folder / assets.manifest()[name].file) in said
    assert f"make assets GET={name}" in said


# --- everywhere ------------------------------------------------------------------------------------------------------


def test_an_open_head_is_refused_in_one_line(environment, tmp_path, monkeypatch):
    from tests.flashavatar_tree import subject as subjects

    subject = subjects.write(tmp_path, 3, "open", head_model.load("open").digest)
    dataset = Dataset(subject.directory("dataset"), subject.directory("masks"), subject.name)
    with pytest.raises(StageError, match="FlashAvatar moves FLAME. Run: make track ID=fake HEAD_MODEL=flame"):
        stage.check(dataset)


def test_computed_eyelids_are_refused_in_one_line(environment, tracked, monkeypatch, tmp_path):
    subject = tracked(3)
    dataset = Dataset(subject.directory("dataset"), subject.directory("masks"), subject.name)
    stage.check(dataset)
    dataset.model.sources["eyelids"], before = stage.COMPUTED, dataset.model.sources["eyelids"]
    try:
        with pytest.raises(StageError, match='make assets GET="flame_left_eyelid flame_right_eyelid", then make track'):
            stage.check(dataset)
    finally:
        dataset.model.sources["eyelids"] = before


def test_no_checkout_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.setattr(patches.registry, "HOME", tmp_path / ".venv")
    with pytest.raises(StageError) as e:
        patches.prepare("FlashAvatar")
    said = str(e.value)
    assert e.value.exit == Exit.MISSING_ASSET and "\n" not in said
    assert "git clone https://github.com/USTC3DV/FlashAvatar-code upstream/FlashAvatar" in said
    assert "2d4cb25" in said and "Inria" in said


def test_lpips_is_asked_for_by_long_runs_only():
    short, long = (FlashAvatarConfig(iterations=n) for n in (PERCEPTION, PERCEPTION + 1))
    assert STAGE.needs(short) == READS and STAGE.needs(long) == (*READS, *LPIPS)
    assert STAGE.needs(FlashAvatarConfig()) == STAGE.needs(long)
    names = STAGE.assets(long)
    assert set(names) >= {"vgg16", "lpips_vgg", "flashavatar_mesh", "flame_masks"} and len(names) == len(set(names))
    assert "vgg16" not in STAGE.assets(short)


@pytest.mark.parametrize(
    "word", ["--device=tpu", "--iterations=0", "--resolution=300", "--ground=red", "--checkpoint-every=0"]
)
def test_options_out_of_range(tmp_path, capsys, word):
    assert command(STAGE, stage.run, ["roman", f"--data={tmp_path}", word]) == Exit.USAGE
    assert "Give" in capsys.readouterr().err


def test_the_host_reads_the_declaration_without_torch():
    code = "import sys, stages.flashavatar; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def theirs(subject: Subject, number: int, side: int) -> np.ndarray:
    """(3,side,side): an image over white as upstream shows it; at soft edges ours has the person's own colours."""
    image = images.read_rgb(dataset_image(subject.directory("dataset"), number)).astype(np.float64)
    masks = subject.directory("masks")
    alpha = images.read_mask(alpha_mask(masks, number)) / 255
    cover = (alpha * images.read_mask(parsing_mask(masks, number, "neckhead")) / 255)[..., None]
    over = image * cover + 255 * (1 - cover)
    k = len(over) // side
    return over.reshape(side, k, side, k, 3).mean((1, 3)).transpose(2, 0, 1)


def test_pictures_are_composited_as_upstream_does(environment, tracked):
    """Over the ground twice, in floats; at half the side, means of four."""
    from stages.train.losses import MOUTH

    subject = tracked(8)
    dataset = Dataset(subject.directory("dataset"), subject.directory("masks"), subject.name)
    kept = {}
    flash = type("Flash", (), {"Camera": lambda **values: kept.update(values), "focal2fov": lambda focal, side: focal})
    frames = Frames(flash, dataset, (1.0, 1.0, 1.0), torch.device("cpu"))
    for side in (512, 256):
        frames.camera(7, side)
        ours = dataset.picture(7, side)
        assert np.abs(kept["image"].numpy() * 255 - theirs(subject, 8, side)).max() < 0.51
        assert ((kept["mouth_mask"].numpy()[0] > 0.5) == (ours.labels & MOUTH > 0)).all()
    green = Frames(flash, dataset, (0.0, 1.0, 0.0), torch.device("cpu"))
    green.camera(7, 512)
    assert kept["image"][:, 0, 0].tolist() == [0, 1, 0]
    for side in (512, 256):  # it is judged over white as train's is, whatever it was trained over
        judged, ours = green.picture(7, side), dataset.picture(7, side)
        assert np.abs(judged.pixels - theirs(subject, 8, side)).max() < 0.51
        assert np.abs(judged.cover.astype(int) - ours.cover).max() <= 1
        assert (judged.labels == ours.labels).mean() > 0.9999
