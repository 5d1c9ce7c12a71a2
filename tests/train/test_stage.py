"""The stage as it is run: what it leaves behind, what it says, and a kill -9 in the middle."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarmake import ROOT
from avatarmake.contract.command import command
from avatarmake.errors import Exit
from avatarmake.formats import images
from stages.train import STAGE
from stages.train.__main__ import run
from tests.train import subject

OPTIONS = ["--resolution", "256", "--iterations", "24", "--gaussians", "1200", "--checkpoint-every", "8"]


def train(root: Path, *extra: str) -> Exit:
    return command(STAGE, run, [root.name, "--data", str(root.parent), *OPTIONS, *extra])


def test_what_it_leaves_behind(tmp_path, capsys):
    root = tmp_path / "roman"
    subject.finished(root, 30, gaussians=1500)
    assert train(root) == Exit.OK
    avatar = root / "avatar"
    result = json.loads((avatar / "evaluation.json").read_text())
    assert (result["resolution"], result["gaussians"], result["iterations"]) == (256, 1200, 24)
    last, blocks = result["splits"]["last"], result["splits"]["blocks"]
    assert last["frames"] == [28, 29, 30] and len(blocks["frames"]) == 3
    assert all(np.isfinite(s[k]) for s in (last, blocks) for k in ("psnr_full", "psnr_head", "ssim"))
    assert blocks["fit"]["frames"] == blocks["frames"] and blocks["fit"]["as_tracked"]["ssim"] == blocks["ssim"]
    assert blocks["fit"]["as_fitted"]["psnr_full"] != blocks["psnr_full"]
    assert [row["frame"] for row in last["per_frame"]] == last["frames"]
    pictures = sorted(int(p.stem) for p in (avatar / "test").glob("*.png"))
    assert pictures == sorted(last["frames"] + blocks["frames"])
    assert images.read_rgb(avatar / "test" / "00030.png").shape == (256, 256, 3)
    assert images.read_rgb(avatar / "previews" / "24.jpg").shape == (256, 512, 3)
    curve = json.loads((avatar / "curve.json").read_text())
    assert [entry["step"] for entry in curve] == [8, 16, 24] and curve[0]["loss"] > curve[2]["loss"]
    state = torch.load(avatar / "checkpoint.pt", weights_only=True)
    assert state["step"] == 24 and "optimiser" not in state
    assert (avatar / "canonical.ply").read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert "unseen frames, last" in capsys.readouterr().out
    assert train(root) == Exit.OK and "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("frames", [1, 9])
def test_short_videos_train_on_something_and_say_so(frames, tmp_path, capsys):
    root = tmp_path / "short"
    subject.finished(root, frames, gaussians=800)
    assert train(root) == Exit.OK
    result = json.loads((root / "avatar" / "evaluation.json").read_text())
    assert result["note"] and result["note"] in capsys.readouterr().out
    assert result["train_frames"] == (1 if frames == 1 else 7)
    assert result["splits"]["last"]["frames"] == ([] if frames == 1 else [9])
    assert list((root / "avatar" / "previews").glob("*.jpg"))


def test_killed_and_run_again_it_is_the_same_avatar(tmp_path):
    for name in ("whole", "killed"):
        subject.finished(tmp_path / name, 9, gaussians=800)
    assert train(tmp_path / "whole") == Exit.OK
    start = [sys.executable, "-m", "stages.train", "--data", str(tmp_path), *OPTIONS]
    process = subprocess.Popen([*start, "killed"], cwd=ROOT)
    partial, limit = tmp_path / "killed" / "avatar.partial", time.monotonic() + 120
    while not (partial / "checkpoint.pt").exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and partial.exists()
    assert train(tmp_path / "killed") == Exit.OK
    made = [
        {p.relative_to(tmp_path / name): p.read_bytes() for p in sorted((tmp_path / name / "avatar").rglob("*.*"))}
        for name in ("whole", "killed")
    ]
    whole, killed = ({str(k).split("avatar/")[1]: v for k, v in one.items()} for one in made)
    stamps = [json.loads(one.pop("stage.json")) for one in (whole, killed)]
    assert whole == killed and {"checkpoint.pt", "curve.json"} <= whole.keys() and ".seconds.json" not in whole
    assert [len(stamp["facts"]["curve_seconds"]) for stamp in stamps] == [3, 3]
    assert stamps[1]["resumed"] is True


@pytest.mark.parametrize(
    "options, said",
    [
        (["--resolution", "300"], "resolution is 300. Use 256 or 512"),
        (["--iterations", "0"], "at least one step"),
        (["--device", "tpu"], "no device is called 'tpu'"),
    ],
)
def test_wrong_options_are_one_line(options, said, tmp_path, capsys):
    root = tmp_path / "roman"
    subject.finished(root, 5, gaussians=100)
    assert command(STAGE, run, ["roman", "--data", str(tmp_path), *options]) == Exit.USAGE
    assert said in capsys.readouterr().err and not (root / "avatar").exists()


def test_images_smaller_than_the_resolution_asked_for(tmp_path, capsys):
    subject.finished(tmp_path / "roman", 5, size=128, gaussians=100)
    assert train(tmp_path / "roman") == Exit.BAD_INPUT
    assert "128 x 128" in capsys.readouterr().err
