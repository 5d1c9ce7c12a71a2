"""Our trainer and FlashAvatar's beside each other: PSNR and SSIM on unseen frames against seconds and steps.

    python -m bench.flashavatar [--data build/side-by-side] [--minutes 1 5 20] [--ours 0.1 0.5 1 5] [--resolution 256]

On one subject, demo unless named by --id, tracked once with HEAD_MODEL=flame: the same dataset, masks, split, head
model and device, pictures of --resolution over white. Where no FLAME is, one is generated, and the demo subject is
made and tracked with it. FlashAvatar's rates are constant, so one training is looked at when its minutes are over.
Ours are planned for a length, so each length is a training of its own: its steps are what fits, by the time of 40.

Seconds are processor seconds of training steps on one thread (on CUDA: wall seconds); pictures that are rendered to
be measured, start-up and compilation are nobody's. Each is judged by pictures composited as those it trains on: ours
have the person's own colours at soft edges. SSIM of the head is that of the square around it. The table and the plot
are in RECORD.md. What is not compared: speed on 512 px unless asked for; LPIPS, which FlashAvatar adds after 15,000
steps; what either would reach after days.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["NUMBA_NUM_THREADS"] = "1"

import numpy as np
import torch

from avatarmake import ROOT, assets, patches
from avatarmake.contract.layout import Subject
from avatarmake.files.whole import whole
from bench.plot import Line, plot
from stages.flashavatar import GROUNDS, STAGE, upstream
from stages.flashavatar.trainer import Schedule as TheirSchedule
from stages.flashavatar.trainer import Trainer as Theirs
from stages.train import evaluation, posture
from stages.train.__main__ import kind
from stages.train.avatar import fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset, Picture
from stages.train.losses import HEAD
from stages.train.split import Split, split
from stages.train.trainer import Schedule
from stages.train.trainer import Trainer as Ours

GAUSSIANS, MOUTH = 14000, 40.0  # as train's own
TRIAL = 40  # steps by whose time a training is planned
FIGURES = ("psnr_full", "psnr_head", "ssim_full", "ssim_head")


class Clock:
    """Seconds of a device's work: the processor's on the CPU, the wall's on CUDA."""

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self.worked = self.passed = 0.0

    def run(self, step: Callable) -> None:
        worked, passed = self._now(), time.monotonic()
        step()
        self.worked += self._now() - worked
        self.passed += time.monotonic() - passed

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
            return time.monotonic()
        return time.process_time()


def theirs(dataset: Dataset, parts: Split, size: int, device: torch.device, minutes: list[float]) -> Iterator[dict]:
    os.environ["AVATARMAKE_UPSTREAM"] = str(patches.prepare(STAGE.upstream))
    flash = upstream.load(STAGE)

    def made() -> Theirs:
        return Theirs(flash, dataset, parts, TheirSchedule(1, size, seed=0), GROUNDS["white"], device)

    made().step()  # compiles
    trainer, clock = made(), Clock(device)
    for budget in sorted(minutes):
        while clock.worked < 60 * budget:
            clock.run(trainer.step)
        yield row("FlashAvatar", budget, trainer, trainer.frames.picture, clock, parts, size)


def ours(dataset: Dataset, parts: Split, size: int, device: str, minutes: list[float]) -> Iterator[dict]:
    backend = choose(device)
    dataset.hold_body(seconds := posture.seconds(dataset, parts.train))

    def made(steps: int) -> Ours:
        avatar = fresh(dataset, parts.train, GAUSSIANS, 0, backend, seconds)
        return kind(backend)(avatar, dataset, parts, Schedule(steps, size, 0.5, 0), MOUTH)

    trial = made(TRIAL)
    trial.step()
    tried = Clock(backend.device)
    while trial.steps < TRIAL:
        tried.run(trial.step)
    for budget in sorted(minutes):
        trainer, clock = made(round(60 * budget * (TRIAL - 1) / tried.worked)), Clock(backend.device)
        while trainer.steps < trainer.schedule.iterations:
            clock.run(trainer.step)
        yield row("ours", budget, trainer, dataset.picture, clock, parts, size)


def row(who: str, budget: float, trainer, picture: Callable, clock: Clock, parts: Split, size: int) -> dict:
    """What a training has come to: medians over the frames of each split, `picture(frame, size)` being the truth."""
    found = {"who": who, "minutes": budget, "seconds": clock.worked, "wall": clock.passed, "steps": trainer.steps}
    for name in ("blocks", "last"):
        measures = [measure(trainer.picture_of(i, size), picture(i, size)) for i in getattr(parts, name)]
        found[name] = {figure: float(np.median([m[figure] for m in measures])) for figure in FIGURES}
    print(json.dumps(found), flush=True)
    return found


def measure(rendered: np.ndarray, picture: Picture) -> dict:
    m = evaluation.measure(rendered, picture)
    head = np.argwhere(picture.labels & HEAD)
    (top, left), (bottom, right) = head.min(0), head.max(0) + 1
    cut = [x[top:bottom, left:right].astype(np.float32) / 255 for x in (rendered, picture.pixels.transpose(1, 2, 0))]
    figures = {"psnr_full": m["psnr_full"], "psnr_head": m["psnr_head"], "ssim_full": m["ssim"]}
    return figures | {"ssim_head": evaluation.ssim(*cut)}


def table(rows: list[dict]) -> str:
    heads = ["trainer", "minutes", "steps", "s of processor", "s of wall"]
    heads += [f"{split}: PSNR full, head; SSIM full, head" for split in ("blocks", "last tenth")]
    lines = [heads, ["---"] * len(heads)]
    for r in rows:
        figures = [
            f"{s['psnr_full']:.2f}, {s['psnr_head']:.2f}; {s['ssim_full']:.3f}, {s['ssim_head']:.3f}"
            for s in (r["blocks"], r["last"])
        ]
        took = [f"{r['seconds']:.0f}", f"{r['wall']:.0f}"]
        lines.append([r["who"], f"{r['minutes']:g}", f"{r['steps']:,}", *took, *figures])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def drawn(rows: list[dict], path: Path) -> None:
    """The head's PSNR on blocks, and on the last tenth dashed, over seconds."""
    lines = []
    for colour, who in (("#0f766e", "ours"), ("#c2410c", "FlashAvatar")):
        mine = [r for r in rows if r["who"] == who]
        for name, words, dashed in (("blocks", "passages left out", False), ("last", "the video's end", True)):
            points = [(r["seconds"], r[name]["psnr_head"]) for r in mine]
            lines += [Line(f"{who}, {words}", points, colour, dashed)] if points else []
    plot(path, lines, "seconds of training", "head, dB")


def made(data: Path, subject: str) -> Subject:
    """The subject, tracked with FLAME: made where it is not there."""
    if not assets.find("flame2020") and not assets.find("flame2023"):
        os.environ["AVATARMAKE_ASSETS"] = str(data / "assets")
        if not assets.find("flame2020"):
            from tests.flashavatar import standins

            print(f"no FLAME is there; one is generated: {standins.make(data / 'assets')}", flush=True)
    words = ["make", "refine", f"ID={subject}", "HEAD_MODEL=flame", f"DATA={data}"]
    environment = os.environ | {"ASSETS": str(assets.folder())}
    subprocess.run(words, cwd=ROOT, check=True, env=environment)
    os.environ["AVATARMAKE_CACHE"] = str(data / ".cache")
    return Subject(data, subject)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "side-by-side")
    parser.add_argument("--id", default="demo")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("--ours", type=float, nargs="+", help="the same, of our trainer")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    subject = made(options.data.absolute(), options.id)
    dataset = Dataset(*(subject.directory(d) for d in ("dataset", "masks")), subject.name, subject.directory("refined"))
    parts, device, size = split(len(dataset)), choose(options.device).device, options.resolution
    rows, place = [], options.data / f"side-by-side-{size}"
    each = theirs(dataset, parts, size, device, options.minutes)
    for found in chain(ours(dataset, parts, size, options.device, options.ours or options.minutes), each):
        rows.append(found)
        with whole(place.with_suffix(".json")) as temporary:  # what there is, should it be stopped
            temporary.write_text(json.dumps(rows, indent=1))
        drawn(rows, place.with_suffix(".svg"))
    print(f"{table(rows)}\n\n{place.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
