"""The whole pipeline against the floors it must reach: `python -m bench.pipeline demo` or `... VIDEO.mp4`.

Runs `make report` on a fresh volume through the chosen engine (local unless --engine docker) and prints every figure
beside its floor. One run a call: a pipeline of minutes is its own average. Set-up is not timed: for that, run
`make demo` once before.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.publication import receipt

ROOT = Path(__file__).resolve().parent.parent
STAGES = ("demo", "frames", "track", "convert", "mask", "refine", "train", "report")


def make(*words: str) -> None:
    subprocess.run(["make", *words], cwd=ROOT, check=True, env=os.environ)


def floors(demo: bool, m: dict, receipts: dict[str, dict], seconds: float) -> list[tuple[str, float, str, float]]:
    """(what, measured, direction, floor)"""
    avatar, tracking = m["avatar"], m["tracking"]
    shaking = tracking["jitter_px"] / tracking["jitter_px_raw"]
    rows = [
        ("all stages, s", seconds, "<=", 360 if demo else 600),
        ("frames tracked, % of used", 100 * m["frames"]["tracked"] / m["frames"]["used"], ">=", 100),
        ("landmark error, median, % of outer-eye distance", tracking["landmark_error_pct"]["median"], "<=", 1.5),
        ("jitter of the tracking, of that of the detections", shaking, "<=", 1),
        ("reprojection npz -> .frame, max px", m["convert"]["reprojection_px_max"], "<=", 0.01),
        ("psnr full frame, blocks, dB", avatar["blocks"]["psnr_full"], ">=", 30 if demo else 27),
        ("psnr head, blocks, dB", avatar["blocks"]["psnr_head"], ">=", 27.5 if demo else 24),
    ]
    if demo:
        truth = tracking["truth"]
        rows += [
            ("psnr full frame, last, dB", avatar["last"]["psnr_full"], ">=", 30),
            ("psnr head, last, dB", avatar["last"]["psnr_head"], ">=", 27.5),
            ("training, s", receipts["train"]["seconds"], "<=", 120),
            ("eyelid correlation, worse eye", min(truth["eyelid_correlation"].values()), ">=", 0.8),
        ]
    flat = ("frames", "track", "convert", "mask", "refine")
    rows += [(f"memory of {s}, MB", receipts[s]["peak_memory_mb"], "<=", 1000) for s in flat]
    return rows


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("video", help="'demo', or a video file")
    arguments.add_argument("--engine", default="local")
    asked = arguments.parse_args()
    demo = asked.video == "demo"
    volume = Path(tempfile.mkdtemp(prefix="avatarmake-"))
    words = [f"DATA={volume}", f"ENGINE={asked.engine}"]
    started = time.monotonic()
    if demo:
        make("demo", *words)
    else:
        make("report", "ID=bench", f"VIDEO={Path(asked.video).resolve()}", *words)
    seconds = time.monotonic() - started
    subject = Subject(volume, "demo" if demo else "bench")
    metrics = json.loads((subject.directory("report") / "metrics.json").read_text())
    receipts = {stage: stamp for d, stage in WRITER.items() if (stamp := receipt(subject.directory(d)))}
    table = Table("figure", "measured", "", "floor", "", title=asked.video)
    for what, value, direction, floor in floors(demo, metrics, receipts, seconds):
        reached = value <= floor if direction == "<=" else value >= floor
        table.add_row(what, f"{value:.3g}", direction, f"{floor:g}", "" if reached else "[red]missed")
    Console().print(table)
    for name in ("seconds", "peak_memory_mb"):
        print(f"{name}: {json.dumps({stage: stamp[name] for stage, stamp in receipts.items()})}")
    print(f"volume: {volume}")


if __name__ == "__main__":
    main()
