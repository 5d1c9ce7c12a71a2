"""report: everything before -> report/: test.mp4, metrics.json, index.html."""

import json
from pathlib import Path

from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.files.whole import whole
from avatarmake.terminal import duration
from stages.report import STAGE, metrics, page, silhouettes, truth, video
from stages.report.subject import Finished


def run(job: Job) -> dict:
    done = Finished.of(job)
    figures, eyelids = truth.compare(done, Path(job.config.truth)) if job.config.truth else (None, None)
    masks = silhouettes.compare(done, Path(job.config.truth)) if job.config.truth else None
    found = metrics.gather(done, figures, masks)
    clip = job.out / "test.mp4" if done.held_out else None  # a video of a few frames leaves none unseen
    if clip and not clip.exists():
        with whole(clip) as temporary:
            video.write(temporary, done, job.progress)
    with whole(job.out / "metrics.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1))
    with whole(job.out / "index.html") as temporary:
        page.write(temporary, done, found, clip, eyelids)
    _print(found, job, done)
    return {"frames_in": found["frames"]["tracked"], "frames_out": len(done.held_out)}


def _print(m: dict, job: Job, done: Finished) -> None:
    """The figures to look at first, and where the rest is."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "", show_header=False, title=f"{m['subject']}: what came out", title_justify="left")
    table.add_row("frames tracked", f"{m['frames']['tracked']} of {m['frames']['used']}")
    if m["tracking"]["landmark_error_pct"]:
        pct, px = m["tracking"]["landmark_error_pct"]["median"], m["tracking"]["landmark_error_px"]["median"]
        table.add_row("tracking error, median", f"{pct:.2f} % of the eyes' distance, {px:.2f} px")
    if m["tracking"]["jitter_px"] is not None:
        table.add_row(
            "jitter, tracked (detected)", f"{m['tracking']['jitter_px']:.3f} ({m['tracking']['jitter_px_raw']}) px"
        )
    if m["refine"]["moved_px"] is not None:
        turned, moved = m["refine"]["turned_degrees"], m["refine"]["moved_px"]
        table.add_row("refined by pictures, median", f"{turned:.2f} degrees, {moved:.2f} px")
    for split in ("blocks", "last"):
        s = m["avatar"].get(split)
        if s and s["psnr_full"] is not None:
            head = page.figure(s["psnr_head"], 2)
            table.add_row(
                f"unseen frames, {split}",
                f"{s['psnr_full']:.2f} dB whole picture, {head} dB head, SSIM {s['ssim']:.3f}",
            )
            if fit := s.get("fit"):
                both = (fit[name] for name in ("as_tracked", "as_fitted"))
                full, fitted = (f"{page.figure(b['psnr_full'], 2)}, {page.figure(b['psnr_head'], 2)} dB" for b in both)
                table.add_row(f"    {fit['frames']} of them", f"as tracked {full}; as fitted {fitted}")
    took = {stage: stamp["seconds"] for stage, d in metrics.STAGES.items() if "seconds" in (stamp := done.stamp(d))}
    table.add_row("time", ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in took.items()))
    Console().print(table)
    print(f"report: {job.subject.directory('report') / 'index.html'}")


if __name__ == "__main__":
    main(STAGE, run)
