"""Semantic patches to upstream projects, applied on the host: no line of theirs is in this repository.

An ast-grep rule finds a construct by its names and rewrites it in our own words. `prepare` makes the patched copy
that a stage runs; the user's checkout is only read.
"""

import json
import shutil
from pathlib import Path

from stages.digests import digest_path
from stages.engine import registry
from stages.errors import Exit, StageError
from stages.patches import checkout, rewriting, series
from stages.patches.rewriting import OK, Outcome
from stages.upstream import STAMP

names = series.names


def digest(name: str) -> str:
    """Of everything that decides the patched copy of `name`; known without a checkout."""
    return series.load(name).digest


def prepare(name: str) -> Path:
    """The patched copy of upstream `name`, made unless it is there. Raises StageError, with what to do.

    A checkout that is there is checked every time, so that edits in it are not silently left out.
    """
    patches = series.load(name)
    place = registry.HOME / "patched" / f"{name}-{patches.digest[:16]}"
    made = (place / STAMP).exists()
    if not patches.upstream.package and (not made or checkout.folder(patches.upstream).is_dir()):
        checkout.check(patches.upstream)
    if not made:
        with registry.alone("patches"):
            if not (place / STAMP).exists():
                _make(patches, place)
    return place


def attempt(patches: series.PatchSet, into: Path) -> list[Outcome]:
    """A copy of the upstream at `into`, with every step of the series tried on it; one outcome a step."""
    shutil.rmtree(into, ignore_errors=True)
    if patches.upstream.package:
        from stages.patches import package

        package.unpack(patches.upstream, into)
    else:
        checkout.copy(patches.upstream, into)
    return rewriting.apply(patches, into)


def rehearse(name: str, folder: Path) -> dict[str, int]:
    """Apply the patches of `name` to small sources in `folder`, in place; places found, by rule.

    For tests, which have no checkout: counts are not compared, and rules for files that are not there find nothing.
    A rule whose files are there and that finds nothing in them is a StageError.
    """
    outcomes = rewriting.apply(series.load(name), folder, counted=False)
    _all_ok(name, outcomes)
    return {outcome.step.id: outcome.found for outcome in outcomes}


def _make(patches: series.PatchSet, place: Path) -> None:
    """Make the copy beside its place and rename it there: a killed call leaves nothing half done."""
    new = place.with_name(f".{place.name}.new")
    outcomes = attempt(patches, new)
    _all_ok(patches.name, outcomes)
    for compiled in new.rglob("__pycache__"):
        shutil.rmtree(compiled)
    stamp = {
        "name": patches.name,
        "commit": patches.upstream.commit or patches.upstream.version,
        "digest": patches.digest,
        "content": digest_path(new),
        "steps": [
            {"id": outcome.step.id, "from": outcome.step.source, "why": outcome.step.why, "found": outcome.found}
            for outcome in outcomes
        ],
    }
    (new / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)


def _all_ok(name: str, outcomes: list[Outcome]) -> None:
    wrong = [outcome for outcome in outcomes if outcome.state != OK]
    if wrong:
        first = wrong[0]
        counts = f"expected {first.step.expect}, found {first.found}"
        what = f"rule {first.step.id}: {first.state} ({counts}): {first.detail}"
        more = f"; {len(wrong) - 1} more rules fail too" if len(wrong) > 1 else ""
        where = f"patches/{name}/{first.step.source}"
        raise StageError(what + more, where, "All of them in a table: make patches", Exit.INTERNAL)
