"""Where a subject stands and what the images are, as tables."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from rich.table import Table

from avatarmake import host
from avatarmake.contract import kinds, pipeline
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.publication import receipt
from avatarmake.contract.stage import load
from avatarmake.engine import chosen, docker, request, running
from avatarmake.environments import venv
from avatarmake.errors import StageError
from avatarmake.terminal import duration, print_table


def show(subject: str, data: Path) -> None:
    """Every stage: state, key, engine and image or lock, age, size, and what it took: time and memory."""
    who = Subject(data, subject)
    held = running.containers(subject, data) if docker.trouble() is None else {}
    table = Table(title=f"{who.root}", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "state", "key", "made by", "age", "size", "time", "memory"):
        table.add_column(name, overflow="fold" if name == "state" else "ellipsis")
    others = {s for target, known in pipeline.CHOICES.items() for s in set(known.values()) - {chosen(target, who)}}
    for stage in STAGES:
        if stage in others or stage == "demo" and not (who.directory("source").exists() or subject == "demo"):
            continue
        if stage == pipeline.IMPORTER and not who.directory(stage).exists():
            continue
        for name in load(stage).places(who):
            table.add_row(name if "/" in name else stage, *_row(stage, name, who, data, held))
    print_table(table)


def _row(stage: str, name: str, who: Subject, data: Path, held: dict[str, str]) -> tuple[str, ...]:
    declared = load(stage)
    place, partial = who.directory(name), who.partial(name)
    stamp = None
    try:
        stamp = receipt(place)
        # of several directories of one stage, its options say which
        options = (stamp or {}).get("environment", {}).get("options", {}) if declared.part else {}
        asked = request.parse(declared, [who.name, f"--data={data}", *options.values()])
        done, line = asked.state()
        state = ("imported" if asked.standing() else "done") if done else line.split(": ", 1)[1]
    except StageError as e:
        state = f"waits: {e.where or 'its options'} {e.what}".replace(f"{who.root}/", "")
    if stage in held:
        state = f"running in container {held[stage]}"
    elif partial.exists():
        state += " (part of it is there; a run goes on from it)"
    if stamp is None:
        return (state,)
    maker = stamp.get("environment", {})
    by = str(maker.get("image", maker.get("lock", ""))).removeprefix("sha256:")[:12]
    return (
        state,
        stamp.get("key", "")[:12],
        f"{maker.get('engine', '')} {maker['kind'] + ' ' if 'kind' in maker else ''}{by}",
        _told(lambda: _age(datetime.fromisoformat(stamp["finished"]).timestamp())),
        _told(lambda: host.size(stamp["outputs"]["bytes"])),
        _told(lambda: duration(stamp["seconds"])),
        _told(lambda: host.size(stamp["peak_memory_mb"] * 1e6)),
    )


def _told(figure: Callable[[], str]) -> str:
    """What a receipt says of a figure; of one that somebody edited, that it is not known."""
    try:
        return figure()
    except (KeyError, TypeError, ValueError, OverflowError):
        return "?"


def _age(then: float) -> str:
    seconds = max(0, time.time() - then)
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def show_images() -> None:
    """Name, id, size, age, lock and revision of every stage's image."""
    docker.client().close()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("image", "id", "size", "created", "lock", "revision"):
        table.add_column(name, justify="right" if name == "size" else "left")
    for stage, kind in ((name, kind) for name in STAGES for kind in kinds.of(name)):
        image = docker.image(stage, kind)
        if image is None and kind == kinds.CPU:
            table.add_row(docker.tag(stage), "not built", "", "", "", f"make image/{stage}")
        if image is None:
            continue
        revision = image.labels.get("org.opencontainers.image.revision", "")
        commit, _, modified = revision.partition("-")
        created = image.attrs["Created"][:16].replace("T", " ")
        lock = hashlib.sha256(venv.lock_file(stage, kind).read_bytes()).hexdigest()[:12]
        size = host.size(image.attrs["Size"])
        table.add_row(docker.tag(stage, kind), image.short_id, size, created, lock, f"{commit[:10]} {modified}".strip())
    print_table(table)


# what `make demo` ends with: label -> where it is in metrics.json
FIGURES = {
    "frames tracked": "frames.tracked",
    "landmark error, median (% of outer-eye distance)": "tracking.landmark_error_pct.median",
    "jitter (px)": "tracking.jitter_px",
    "reprojection after convert, max (px)": "convert.reprojection_px_max",
    "resolution (px)": "avatar.resolution",
    "Gaussians": "avatar.gaussians",
}


def show_metrics(subject: str, data: Path) -> None:
    """The main figures of report/metrics.json, how long each stage took, and the report's path."""
    who = Subject(data, subject)
    report = who.directory("report")
    try:
        metrics = json.loads((report / "metrics.json").read_text())
    except FileNotFoundError as e:
        raise StageError("is not there", report / "metrics.json", f"Run: make report ID={subject}") from e
    table = Table(box=None, pad_edge=False, show_header=False)
    for label, path in FIGURES.items():
        value = metrics
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        table.add_row(label, _number(value))
    scored = {k: v for k, v in metrics.get("avatar", {}).items() if isinstance(v, dict) and "psnr_full" in v}
    for split, scores in scored.items():
        said = ", ".join(f"{name} {_number(value)}" for name, value in scores.items() if isinstance(value, int | float))
        table.add_row(f"unseen frames, {split}", said)
    stamps = (receipt(who.directory(d)) for d in (*pipeline.WRITER, pipeline.IMPORTER))
    done = {stamp["stage"]: stamp for stamp in stamps if stamp}
    table.add_row("time", ", ".join(f"{stage} {duration(stamp['seconds'])}" for stage, stamp in done.items()))
    print_table(table)
    print(f"report: {(report / 'index.html').absolute()}")


def _number(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_number(v)}" for k, v in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value if value is not None else "-")
