"""`make reproduce`: what another host makes of a pack, checked first, then run, then held against what it says."""

import json
import os
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from avatarmake import doctor
from avatarmake.engine import docker, kind
from avatarmake.engine.processor import described
from avatarmake.errors import Exit, StageError
from avatarmake.files.whole import whole
from avatarmake.pack import page, since, table
from avatarmake.pack.comparison import Outcome, Verdict
from avatarmake.pack.pack import Pack, opened
from avatarmake.pack.rerun import Rerun, unmet

DIFFERS = 6  # exit code: everything ran, and something did not come out as promised
FOLDER = ".reproduce"  # below DATA: packs as they came, and a folder for every reproduction


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. `given`: inputs by name; `anyway`: with other code than the pack's."""

    data: Path
    given: dict[str, Path]
    registry: str = ""
    anyway: bool = False
    force: bool = False


def reproduce(path: Path, wishes: Wishes) -> int:
    """Returns an exit code: 0 where all came out as promised, DIFFERS where not, a stage's own where one failed."""
    pack = opened(path, wishes.data / FOLDER)
    engine = _engine(pack)
    work = wishes.data / FOLDER / f"{pack.digest[:12]}-{_surroundings(engine)}"
    rerun = Rerun(pack, work / "data", engine, wishes.given, wishes.force)
    _say(f"{path}: {pack.about['subject']}, by avatarmake {pack.about['avatarmake']} of {pack.about['revision'][:12]}")
    _check(pack, rerun, wishes)
    rerun.take_assets()
    images = _images(pack, wishes.registry) if engine == "docker" else {}
    outcomes = rerun.run()
    _write(work, pack, outcomes, images)
    table.show(outcomes, images)
    print(f"page: {(work / page.NAME).absolute()}")
    failed = [each for each in outcomes if each.verdict is Verdict.FAILED]
    if failed:
        return Exit.INTERNAL
    return Exit.OK if all(each.kept for each in outcomes) else DIFFERS


def _check(pack: Pack, rerun: Rerun, wishes: Wishes) -> None:
    """The revision, the host, weights and inputs. Raises the first fault, after all of them are said."""
    faults = []
    if other := since.said(pack):
        way = since.way_back(pack)
        advice = f"Its own: {way} && make -C ... reproduce PACK=...; or with this one: ANYWAY=1" if way else "ANYWAY=1"
        what = "this checkout has other stages than those that made the pack"
        print("\n".join(other), file=sys.stderr, flush=True)
        if wishes.anyway:
            _say(f"{what}; going on with them")
        else:
            faults.append(StageError(what, next=advice, exit=Exit.ENVIRONMENT))
    else:
        _say("revision: every stage's code, lock and patches are the pack's")
    if doctor.show():
        faults.append(StageError("this host cannot run it", next="See above", exit=Exit.ENVIRONMENT))
    faults += unmet(pack) + rerun.faults()
    for fault in faults[1:]:
        print(f"reproduce: {fault}", file=sys.stderr, flush=True)
    if faults:
        raise faults[0]


def _engine(pack: Pack) -> str:
    """ENGINE where it says one; else the pack's own where this host has it."""
    asked = os.environ.get("ENGINE") or "auto"
    if asked != "auto":
        return asked
    in_images = all(stamp["environment"].get("engine") == "docker" for stamp in pack.stamps.values())
    return "docker" if in_images and docker.trouble() is None else "local"


def _images(pack: Pack, registry: str) -> dict[str, tuple[str, str]]:
    """Images pulled or built: stage -> (the pack's, the one here), by id."""
    found = {}
    for directory, stamp in pack.stamps.items():
        stage = pack.stage(directory).name
        then = str(stamp["environment"].get("image", ""))
        if registry:
            from avatarmake.engine import distribution

            distribution.pull([stage], registry)
        image, _ = docker.build(stage, kind=kind.choose(stage, daemon=docker.info).name)
        found[stage] = (then, image.id)
    return found


def _surroundings(engine: str) -> str:
    """What tells one reproduction on this host from the next: another engine, other instructions or threads."""
    return sha256(json.dumps([engine, described()], sort_keys=True).encode()).hexdigest()[:8]


def _write(work: Path, pack: Pack, outcomes: list[Outcome], images: dict) -> None:
    with whole(work / "reproduction.json") as temporary:
        temporary.write_text(json.dumps(page.plain(pack, outcomes, images), indent=1))
    with whole(work / page.NAME) as temporary:
        temporary.write_text(page.html(work, pack, outcomes, images))


def _say(text: str) -> None:
    print(text, flush=True)
