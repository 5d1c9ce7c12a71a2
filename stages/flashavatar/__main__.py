"""flashavatar: dataset/ and masks/ -> avatar/, by FlashAvatar's own modules. A killed run goes on where it was."""

import json
import os
import time

# Threads that wait for each other must sleep: spinning ones starve whatever else runs on the machine, and each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MKL_CBWR", "AUTO")  # MKL promises equal sums run after run only where it is asked to

import torch

from avatarmake.avatar import ply
from avatarmake.avatar.foreign import CHECKPOINT
from avatarmake.contract.command import main
from avatarmake.contract.progress import progress
from avatarmake.contract.stage import Job
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.head_model.flame.assembly import COMPUTED
from stages.flashavatar import GROUNDS, PERCEPTION, STAGE, held_out, upstream
from stages.flashavatar.record import PREVIEWS, point, preview
from stages.flashavatar.trainer import Schedule, Trainer
from stages.train import evaluation
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split

SECONDS = ".seconds.json"  # while it trains: for each point of the curve, how long it took to get there
LICENCE = (
    "FlashAvatar's LICENSE says MIT; ten of its files are Inria's, for non-commercial research, and four Max Planck's, "
    "for those whom it licenses FLAME to"
)


def run(job: Job) -> dict:
    print(f"flashavatar: {LICENCE}", flush=True)
    trainer = prepare(job)
    train(job, trainer)
    result = held_out.evaluate(job.out, trainer)
    ply.write(job.out / "canonical.ply", *trainer.canonical())
    (job.out / SECONDS).unlink(missing_ok=True)
    return facts(trainer, result)


def prepare(job: Job) -> Trainer:
    """A trainer at step 0, or where a killed run left its last checkpoint."""
    config, device = job.config, choose(job.config.device).device
    dataset = Dataset(job.read("dataset"), job.read("masks"), job.subject.name, job.read("refined"))
    check(dataset)
    dataset.check(config.resolution)
    parts = split(len(dataset))
    if parts.note:
        print(f"flashavatar: {parts.note}", flush=True)
    if not config.perceives:
        print(f"flashavatar: without LPIPS, which upstream adds after {PERCEPTION:,} steps", flush=True)
    schedule = Schedule(config.iterations, config.resolution, config.seed)
    trainer = Trainer(upstream.load(STAGE), dataset, parts, schedule, GROUNDS[config.ground], device)
    if job.resumed and (job.out / CHECKPOINT).exists():
        trainer.restore(torch.load(job.out / CHECKPOINT, map_location=device, weights_only=True))
        curve = json.loads((job.out / "curve.json").read_text())
        trainer.curve = [entry for entry in curve if entry["step"] <= trainer.steps]
        seconds = json.loads((job.out / SECONDS).read_text()) if (job.out / SECONDS).exists() else []
        trainer.seconds = seconds[: len(trainer.curve)]
        print(f"flashavatar: going on at step {trainer.steps}", flush=True)
    return trainer


def check(dataset: Dataset) -> None:
    """FlashAvatar moves FLAME, and with its own eyelids. Raises StageError about a dataset of another head."""
    again = f"make track ID={dataset.subject} HEAD_MODEL=flame"
    if dataset.model.name != "flame":
        what = f"was tracked with head model '{dataset.model.name}', and FlashAvatar moves FLAME"
        raise StageError(what, dataset.root, f"Run: {again}")
    if dataset.model.sources.get("eyelids") == COMPUTED:
        what = "its lids were solved for computed eyelids, and FlashAvatar moves its own"
        fetch = 'make assets GET="flame_left_eyelid flame_right_eyelid"'
        raise StageError(what, dataset.root, f"Run: {fetch}, then {again}")


def train(job: Job, trainer: Trainer) -> None:
    before = trainer.seconds[-1] if trainer.seconds else 0.0
    started, losses, errors = time.monotonic(), [], []
    (job.out / "previews").mkdir(exist_ok=True)
    for _ in progress(range(trainer.steps, trainer.schedule.iterations), label="flashavatar", unit="steps"):
        loss, mse = trainer.step()
        losses.append(loss)
        errors.append(mse)
        step, end = trainer.steps, trainer.steps == trainer.schedule.iterations
        if step in PREVIEWS or end:
            preview(job.out, trainer)
        if step % job.config.checkpoint_every == 0 or end:
            trainer.seconds.append(round(before + time.monotonic() - started, 2))
            trainer.curve.append(point(trainer, losses, errors))
            losses, errors = [], []
            save(job, trainer)


def save(job: Job, trainer: Trainer) -> None:
    """The curve first, so that it has every point up to the checkpoint's step, or one more."""
    for name, content in ((SECONDS, trainer.seconds), ("curve.json", trainer.curve)):
        with whole(job.out / name) as temporary:
            temporary.write_text(json.dumps(content, indent=1))
    with whole(job.out / CHECKPOINT) as temporary, temporary.open("wb") as file:  # of a path torch keeps the name
        torch.save(trainer.state(), file)


def facts(trainer: Trainer, result: dict) -> dict:
    for name, s in result["splits"].items():
        if s["psnr_full"] is not None:
            head = "-" if s["psnr_head"] is None else f"{s['psnr_head']:.2f}"
            print(f"unseen frames, {name}: {s['psnr_full']:.2f} dB full, {head} dB head, ssim {s['ssim']:.3f}")
    figures = {name: {k: s[k] for k in evaluation.FIGURES} for name, s in result["splits"].items()}
    return {
        "frames_in": len(trainer.dataset),
        "frames_out": len(trainer.split.train),
        "held_out": len(trainer.split.held_out),
        "gaussians": result["gaussians"],
        "device": str(next(trainer.deformation.parameters()).device),
        "note": trainer.split.note,
        "curve_seconds": trainer.seconds,
        **figures,
    }


if __name__ == "__main__":
    main(STAGE, run)
