"""Semantic patches to upstream projects, applied on the host: no line of theirs is in this repository.

An ast-grep rule finds a construct by its names and rewrites it in our own words. `prepare` makes the patched copy
that a stage runs; the user's checkout is only read.
"""

import json
import shutil
from pathlib import Path

from avatarmake import registry
from avatarmake.contract.upstream import STAMP
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.patches import checkout, rewriting, sdist, series
from avatarmake.patches.rewriting import OK, Outcome

names = series.names


def digest(name: str) -> str:
    """Of everything that decides the patched copy of `name`; known without a checkout."""
    return series.load(name).digest


def prepare(name: str) -> Path:
    """The patched copy of upstream `name`, made unless it is there. Raises StageError, with what to do.

    A checkout that is there is checked every time, so that edits in it are not silently left out.
    """
    patches = series.load(name)
    place = _place(patches)
    if not (place / STAMP).exists():
        _all_ok(name, attempt(name))
    elif not patches.upstream.package and checkout.folder(patches.upstream).is_dir():
        checkout.check(patches.upstream)
    return place


def attempt(name: str) -> list[Outcome]:
    """Try every step on a fresh copy; one outcome a step. Where all are ok it becomes the copy that `prepare` gives.

    Raises StageError where there is nothing to try them on.
    """
    patches = series.load(name)
    if not patches.upstream.package:
        checkout.check(patches.upstream)
    place = _place(patches)
    new = place.with_name(f".{place.name}.new")
    with registry.alone("patches"):
        shutil.rmtree(new, ignore_errors=True)
        try:
            (sdist.unpack if patches.upstream.package else checkout.copy)(patches.upstream, new)
            outcomes = rewriting.apply(patches, new)
            if all(outcome.state == OK for outcome in outcomes) and not (place / STAMP).exists():
                _finish(patches, outcomes, new, place)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return outcomes


def rehearse(name: str, folder: Path) -> dict[str, int]:
    """Apply the patches of `name` to small sources in `folder`, in place; places found, by rule.

    For tests, which have no checkout: counts are not compared, and rules for files that are not there find nothing.
    A rule whose files are there and that finds nothing in them is a StageError.
    """
    outcomes = rewriting.apply(series.load(name), folder, counted=False)
    _all_ok(name, outcomes)
    return {outcome.step.id: outcome.found for outcome in outcomes}


def _place(patches: series.PatchSet) -> Path:
    return registry.HOME / "patched" / f"{patches.name}-{patches.digest[:16]}"


def _finish(patches: series.PatchSet, outcomes: list[Outcome], new: Path, place: Path) -> None:
    """Say in the copy what it is made of, and rename it to its place: a killed call leaves nothing half done."""
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
