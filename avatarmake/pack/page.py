"""A reproduction as one page, then and now side by side; and as plain data for other programs."""

import json
import math
import os
from dataclasses import asdict
from pathlib import Path

from avatarmake.pack.comparison import Outcome
from avatarmake.pack.contents import SUBJECT
from avatarmake.pack.pack import Pack
from avatarmake.pack.table import number, off

NAME = "index.html"
TEMPLATE = Path(__file__).with_name("page.html.j2")
PICTURES = (".jpg", ".png")
FILMS = (".mp4", ".webm")
SHOWN = 8  # pictures of a stage


def html(work: Path, pack: Pack, outcomes: list[Outcome], images: dict[str, tuple[str, str]]) -> str:
    """The page for the folder `work`, whose pictures it shows by relative paths."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "off": off}
    shown = {each.directory: pictures(work, pack, each.directory) for each in outcomes}
    return environment.from_string(TEMPLATE.read_text()).render(
        pack=pack.about, outcomes=outcomes, images=images, pictures=shown, films=FILMS
    )


def pictures(work: Path, pack: Pack, directory: str) -> list[tuple[str, str, str]]:
    """(name, then, now) of pictures and films that both have, by their paths from `work`; some, spread over all."""
    then, now = pack.directory(directory), work / "data" / pack.about["subject"] / directory
    names = sorted(
        name
        for name in pack.about["files"]
        if name.startswith(f"{SUBJECT}/{directory}/") and name.lower().endswith(PICTURES + FILMS)
    )
    names = [name.removeprefix(f"{SUBJECT}/{directory}/") for name in names]
    both = [name for name in names if (now / name).is_file()]
    step = max(1, -(-len(both) // SHOWN))
    return [(name, os.path.relpath(then / name, work), os.path.relpath(now / name, work)) for name in both[::step]]


def plain(pack: Pack, outcomes: list[Outcome], images: dict[str, tuple[str, str]]) -> dict:
    """What the table and the page say, for other programs."""
    stages = [asdict(each) | {"kept": each.kept, "figures": _figures(each)} for each in outcomes]
    about = {name: pack.about[name] for name in ("subject", "avatarmake", "revision")}
    return json.loads(json.dumps({**about, "pack": pack.digest, "images": images, "stages": stages}, default=str))


def _figures(each: Outcome) -> list[dict]:
    """JSON has no infinity: a difference that cannot be given is null."""
    return [asdict(f) | {"difference": f.difference if math.isfinite(f.difference) else None} for f in each.figures]
