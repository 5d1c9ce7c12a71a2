"""index.html: the same figures and pictures for a person, in one file that needs nothing else."""

import base64
from collections.abc import Callable
from pathlib import Path

from avatarmake.stretches import words
from stages.report import charts, pictures
from stages.report.charts import Line
from stages.report.metrics import STAGES, doubts
from stages.report.subject import Finished, spread
from stages.report.words import headline, summary

SAMPLES = 4
WORST = 4
EMBEDDED_MB = 24  # a larger video stays a file beside the page


def write(path: Path, done: Finished, metrics: dict, video: Path | None, eyelids: dict | None) -> None:
    """`eyelids`: what truth.compare() gives for its chart, or None."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text())
    numbers = list(range(1, len(done.index["images"]) + 1))
    samples = spread(numbers, SAMPLES)
    path.write_text(
        template.render(
            m=metrics,
            headline=headline(metrics),
            summary=summary(metrics),
            live=done.live,
            video=_video(video),
            poster=pictures.data_uri(pictures.side_by_side(done, _typical(done))) if done.held_out else None,
            faces=pictures.faces(done),
            doubts=_doubts(done),
            tracking=_samples(done, samples, pictures.tracking),
            masks=_samples(done, samples, pictures.masks),
            splits=SPLITS,
            fitted=_fitted(metrics["avatar"]),
            worst=_worst(done),
            previews=[{"step": step, "uri": pictures.data_uri(p)} for step, p in pictures.previews(done)],
            curve=_curve(done.curve),
            quality=_quality(done),
            blinks=_blinks(eyelids),
            provenance=_provenance(done),
            note=done.evaluation.get("note"),
        )
    )


def figure(value: float | None, digits: int = 1) -> str:
    """A number for people: grouped thousands, a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def _video(path: Path | None) -> str | None:
    if path is None or path.stat().st_size > EMBEDDED_MB * 1e6:
        return None
    return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


def _typical(done: Finished) -> int:
    """The held-out frame of median quality."""
    rows = sorted(done.held_out, key=lambda r: r["psnr_head"] or r["psnr_full"])
    return rows[len(rows) // 2]["frame"]


def _samples(done: Finished, numbers: list[int], draw: Callable) -> list[dict]:
    return [{"number": n, "uri": pictures.data_uri(draw(done, n))} for n in numbers]


DOUBTS = {
    "covered": "the face is mostly covered",
    "blurred": "the face is blurred",
    "repeats": "the picture repeats the one before",
    "black": "the picture is black",
}


def _doubts(done: Finished) -> list[dict]:
    """What counts less in training, and pictures of it; the numbers are those of frames/."""
    return [
        {
            "reason": DOUBTS[name],
            "count": len(numbers),
            "where": words(i + 1 for i in numbers),
            "pictures": [{"number": i + 1, "uri": pictures.data_uri(pictures.small(done, i))}
                         for i in spread(numbers, SAMPLES)] if name in ("covered", "blurred") else [],
        }
        for name, numbers in doubts(done).items()
        if numbers
    ]  # fmt: skip


def _worst(done: Finished) -> list[dict]:
    """The lowest head PSNR first, and no two from the same half second: neighbours look alike."""
    chosen: list[dict] = []
    for row in sorted(done.held_out, key=lambda r: r["psnr_head"] or r["psnr_full"]):
        if all(abs(row["frame"] - other["frame"]) > done.index["fps"] / 2 for other in chosen):
            chosen.append(row)
        if len(chosen) == WORST:
            break
    return [{**row, "uri": pictures.data_uri(pictures.comparison(done, row["frame"], 320))} for row in chosen]


SPLITS = {"blocks": "Passages left out all over the video", "last": "The end of the video"}


def _fitted(avatar: dict) -> list[dict]:
    """Of each split the frames that were fitted too: how many, and their figures both ways."""
    return [
        {"label": label, **avatar[name]["fit"]}
        for name, label in SPLITS.items()
        if avatar.get(name, {}).get("fit", {}).get("frames")
    ]


def _curve(curve: list[dict]) -> str:
    """Training: PSNR over steps, of unseen frames and of the frames just trained on."""
    names = {"psnr_full": ("unseen frames, whole picture", "a"), "psnr_head": ("unseen frames, head only", "b"),
             "psnr_inner": ("unseen frames, within the head's outline", "b-dash"),
             "psnr_train": ("training frames, whole picture", "c-dash")}  # fmt: skip
    lines = []
    for name, (label, style) in names.items():
        points = [(p["step"], p[name]) for p in curve if p.get(name) is not None]
        if points:
            lines.append(Line(label, *charts.thinned(*zip(*points, strict=True)), style))
    return charts.line_chart(lines, "steps of training", "dB", "Quality during training")


def _quality(done: Finished) -> str:
    lines = []
    for split, label, style in (("last", "end of the video", "a-dots"), ("blocks", "passages left out", "b-dots")):
        rows = [r for r in done.held_out if r["split"] == split and r["psnr_head"] is not None]
        points = charts.thinned([r["frame"] for r in rows], [r["psnr_head"] for r in rows])
        lines.append(Line(label, *points, style))
    return charts.line_chart(lines, "frame", "dB, head only", "Quality of every unseen frame")


def _blinks(eyelids: dict | None) -> str:
    if eyelids is None:
        return ""
    lines = [
        Line("truth", *charts.thinned(eyelids["times"], eyelids["truth"].mean(1)), "b-dash"),
        Line("tracked", *charts.thinned(eyelids["times"], eyelids["tracked"].mean(1)), "a"),
    ]
    return charts.line_chart(lines, "seconds", "0 open, 1 closed", "Eyelids, truth and tracked", (0, 1))


def _provenance(done: Finished) -> list[dict]:
    """One block for each stage: all that its files depend on, and their digest; nothing of the run."""
    return [
        {"name": stage, "rows": {**stamp["parts"], "key": stamp["key"], "outputs": stamp["outputs"]["digest"]}}
        for stage, directory in STAGES.items()
        if (stamp := done.stamp(directory)).get("parts")
    ]
