"""One page over all subjects of a list, beside them in the volume: pictures and reports are linked, not copied."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import jinja2

from avatarmake.batch import attempt
from avatarmake.batch.figures import figures
from avatarmake.batch.standing import Row, State, count, in_order
from avatarmake.contract.layout import Subject, frame_image
from avatarmake.files.inputs import natural
from avatarmake.files.whole import whole


def path(lst: Path, data: Path) -> Path:
    """data/subjects.html for subjects.csv."""
    return data / f"{lst.stem}.html"


def write(rows: Sequence[Row], lst: Path, data: Path) -> Path:
    """Write the page of a list; returns its path. It says when it was, and holds nothing that is not found anew."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    content = environment.get_template("page.html.j2").render(
        title=lst.stem,
        list=os.fspath(lst),
        when=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        counts=list(count(rows).items()),
        rows=[_row(row, data) for row in in_order(rows)],
    )
    data.mkdir(parents=True, exist_ok=True)
    place = path(lst, data)
    with whole(place) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return place


def _row(row: Row, data: Path) -> dict:
    subject, first = Subject(data, row.line.id), row.first
    report = subject.directory("report") / "index.html"
    log = subject.root / attempt.LOG
    troubled = row.state in (State.FAILED, State.BROKEN, State.STOPPED)
    return {
        "id": row.line.id,
        "state": row.state,
        "target": first.target if first else "",
        "why": first.why if first else "",
        "stages": row.stages,
        "figures": figures(row),
        "pictures": [(_link(place, data), what) for place, what in _pictures(row, subject)],
        "report": _link(report, data) if row.stamp("report") else "",
        "log": _link(log, data) if troubled and log.exists() else "",
    }


def _pictures(row: Row, subject: Subject) -> list[tuple[Path, str]]:
    """The first frame, and the avatar on an unseen one (video | avatar), of what is there."""
    found = []
    if row.stamp("frames"):
        found.append((frame_image(subject.directory("frames"), 1), "the video"))
    if row.stamp("train"):
        previews = sorted((subject.directory("avatar") / "previews").glob("*.jpg"), key=natural)  # by step
        found += [(place, "the avatar") for place in previews[-1:]]
    return found


def _link(place: Path, data: Path) -> str:
    return quote(place.relative_to(data).as_posix())
