"""train: dataset/ and masks/ -> avatar/. A killed run goes on from its last checkpoint to the same avatar."""

import json
import os
import time
from pathlib import Path

# Threads that wait for each other must sleep: spinning ones starve whatever else runs on the machine, and each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MKL_CBWR", "AUTO")  # MKL promises equal sums run after run only where it is asked to

import numpy as np
import torch

from avatarmake.avatar import ply
from avatarmake.contract.command import main
from avatarmake.contract.progress import progress
from avatarmake.contract.stage import Job
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.formats import images
from stages.train import STAGE, evaluation, held_out, posture
from stages.train.avatar import Avatar, fresh
from stages.train.backend import Backend, choose
from stages.train.dataset import Dataset
from stages.train.network import Code
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer

CHECKPOINT = "checkpoint.pt"
SECONDS = ".seconds.json"  # while it trains: for each point of the curve, how long it took to get there
PREVIEWS = (50, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000)


def run(job: Job) -> dict:
    config = job.config
    if config.resolution not in (256, 512):
        raise StageError(f"resolution is {config.resolution}", next="Use 256 or 512", exit=Exit.USAGE)
    if config.iterations < 1 or config.gaussians < 1 or config.views < 1:
        raise StageError("there must be at least one step, of one frame, and one Gaussian", exit=Exit.USAGE)
    trainer = prepare(job)
    train(job, trainer)
    result = held_out.evaluate(job.out, trainer)
    write_canonical(job.out / "canonical.ply", trainer)
    save(job.out, trainer, final=True)
    (job.out / SECONDS).unlink(missing_ok=True)
    return facts(trainer, result)


def prepare(job: Job) -> Trainer:
    """A trainer at step 0, or where a killed run left its last checkpoint."""
    config, backend = job.config, choose(job.config.device, job.config.rasteriser)
    dataset = Dataset(job.read("dataset"), job.read("masks"), job.subject.name, job.read("refined"))
    dataset.check(config.resolution)
    parts = split(len(dataset))
    if parts.note:
        print(f"train: {parts.note}", flush=True)
    schedule = Schedule(config.iterations, config.resolution, config.warmup, config.seed, config.views)
    path = job.out / CHECKPOINT
    state = torch.load(path, weights_only=True) if job.resumed and path.exists() else None
    if state:
        avatar = Avatar.restored(state, backend)
        dataset.hold_body(avatar.seconds)
    else:
        dataset.hold_body(seconds := posture.seconds(dataset, parts.train))
        print(f"train: {posture.words(seconds)}", flush=True)
        avatar = fresh(dataset, parts.train, config.gaussians, config.seed, backend, seconds)
    trainer = kind(backend)(avatar, dataset, parts, schedule, config.mouth_weight)
    if state:
        trainer.restore(state)
        curve = json.loads((job.out / "curve.json").read_text())
        trainer.curve = [entry for entry in curve if entry["step"] <= trainer.steps]
        seconds = json.loads((job.out / SECONDS).read_text()) if (job.out / SECONDS).exists() else []
        trainer.seconds = seconds[: len(trainer.curve)]
        print(f"train: going on at step {trainer.steps}", flush=True)
    return trainer


def kind(backend: Backend) -> type[Trainer]:
    if not backend.resident:
        return Trainer
    from stages.train.cuda.trainer import CudaTrainer  # numba-cuda is there where a GPU is

    return CudaTrainer


def train(job: Job, trainer: Trainer) -> None:
    before = trainer.seconds[-1] if trainer.seconds else 0.0
    started = time.monotonic()
    (job.out / "previews").mkdir(exist_ok=True)
    for _ in progress(range(trainer.steps, trainer.schedule.iterations), label="train", unit="steps"):
        trainer.step()
        step, end = trainer.steps, trainer.steps == trainer.schedule.iterations
        if step in PREVIEWS or end:
            preview(job.out, trainer)
        if step % job.config.checkpoint_every == 0 or end:
            loss, mse = trainer.means()  # what a device has still to do is done by then
            trainer.seconds.append(round(before + time.monotonic() - started, 2))
            trainer.curve.append(point(trainer, loss, mse))
            save(job.out, trainer)


def point(trainer: Trainer, loss: float, mse: float) -> dict:
    """One entry of curve.json: psnr_train of frames just trained, the other figures of a few unseen ones."""
    resolution = trainer.schedule.resolution_at(trainer.steps - 1)
    held = trainer.split.held_out
    some = held[:: max(len(held) // 8, 1)]
    measures = [measure(trainer, i, resolution) for i in some]
    entry = {
        "step": trainer.steps,
        "resolution": resolution,
        "loss": loss,
        "psnr_train": round(evaluation.psnr(mse), 3),
    }
    for name in ("psnr_full", "psnr_head", "psnr_inner"):
        values = [m[name] for m in measures if m[name] is not None]
        entry[name] = round(float(np.mean(values)), 3) if values else None
    return entry


def measure(trainer: Trainer, i: int, resolution: int) -> dict:
    return evaluation.measure(trainer.picture_of(i, resolution), trainer.dataset.picture(i, resolution))


def preview(out: Path, trainer: Trainer) -> None:
    """previews/<step>.jpg: truth | avatar, of an unseen frame in the middle where there is one."""
    frames = trainer.split.blocks or trainer.split.last or trainer.split.train
    i, resolution = frames[len(frames) // 2], trainer.schedule.resolution
    truth = trainer.dataset.picture(i, resolution).pixels.transpose(1, 2, 0)
    both = np.concatenate([truth, trainer.picture_of(i, resolution)], 1)
    images.write_jpeg(out / "previews" / f"{trainer.steps}.jpg", both)


def save(out: Path, trainer: Trainer, final: bool = False) -> None:
    """The curve first, so that it has every point up to the checkpoint's step, or one more."""
    for name, content in ((SECONDS, trainer.seconds), ("curve.json", trainer.curve)):
        with whole(out / name) as temporary:
            temporary.write_text(json.dumps(content, indent=1))
    state = trainer.state()
    if final:
        del state["optimiser"]
    with whole(out / CHECKPOINT) as temporary, temporary.open("wb") as file:  # of a path torch keeps the name
        torch.save(state, file)


def write_canonical(path: Path, trainer: Trainer) -> None:
    zeros = [np.zeros((1, n), np.float32) for n in (100, 3, 6, 2, 3)]
    ply.write(path, *trainer.avatar.gaussians(Code.raw(*zeros)[0], trainer.dataset.neutral()))


def facts(trainer: Trainer, result: dict) -> dict:
    for name, s in result["splits"].items():
        if s["psnr_full"] is not None:
            print(f"unseen frames, {name}: {_decibels(s)}, ssim {s['ssim']:.3f}")
            tracked, fitted = (_decibels(s["fit"][name]) for name in ("as_tracked", "as_fitted"))
            print(f"    {len(s['fit']['frames'])} of them as tracked: {tracked}; as fitted: {fitted}")
    figures = {name: {k: s[k] for k in evaluation.FIGURES} for name, s in result["splits"].items()}
    return {
        "frames_in": len(trainer.dataset),
        "frames_out": len(trainer.split.train),
        "held_out": len(trainer.split.held_out),
        "body_seconds": trainer.avatar.seconds,
        "device": str(trainer.avatar.backend.device),
        "note": trainer.split.note,
        "curve_seconds": trainer.seconds,
        **figures,
    }


def _decibels(figures: dict) -> str:
    head = "-" if figures["psnr_head"] is None else f"{figures['psnr_head']:.2f}"
    return f"{figures['psnr_full']:.2f} dB full, {head} dB head"


if __name__ == "__main__":
    main(STAGE, run)
