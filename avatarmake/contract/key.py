"""The key of a result: everything it depends on, by name, so that a stage is skipped or says what has changed.

It is made of the CONTENT digests of what the stage reads (not of the keys of the stages that wrote it): a rebuilt
converter that writes the same bytes does not cost a new training.
"""

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from avatarmake import ROOT, assets
from avatarmake.contract import kinds, pipeline, upstream
from avatarmake.contract.closure import closure
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import IMPORTER, WRITER
from avatarmake.contract.receipts import RECEIPT, lacking, receipt
from avatarmake.contract.stage import Stage
from avatarmake.errors import Exit, StageError
from avatarmake.files import inputs
from avatarmake.files.digests import digest_files, digest_path

# What changes no result of a stage that has it: the release's number; which stages there are; the list of assets, whose
# files, where they are used, are parts of the key by themselves
NO_RESULT = (ROOT / "avatarmake" / "__init__.py", Path(pipeline.__file__), assets.MANIFEST)


def code_digest(stage: str) -> str:
    """What a stage's sources come to, in one hash."""
    return digest_files([p for p in closure(stage) if p not in NO_RESULT], ROOT)


def key_parts(
    stage: Stage, subject: Subject, config: Any, code: Callable[[str], str] = code_digest
) -> dict[str, str]:
    """Everything the result depends on, by name, so that a change can be named. Values are short strings.

    `code`: `code_digest`, or what remembers its answers, for whoever asks of thousands of subjects.
    """
    config = stage.resolve(subject, config)
    need_inputs(config)
    parts = {}
    for directory in (*stage.reads, *stage.also(config)):
        parts[f"{directory}/"] = finished(subject, directory)["outputs"]["digest"]
    for other, directory in stage.borrows(config):
        parts[f"{other}/{directory}/"] = finished(Subject(subject.data, other), directory)["outputs"]["digest"]
    for f in fields(config):
        value = getattr(config, f.name)
        if f.metadata.get("input") and value is not None:
            parts[f.name] = inputs.digest(Path(value), f.metadata.get("below", False))
        elif f.metadata.get("key", True) and not f.metadata.get("input"):
            parts[f.name] = str(value)
    for name in stage.assets(config):
        path = assets.find(name)
        parts[f"assets/{name}"] = digest_path(path) if path else "none"
    if stage.upstream:
        parts[f"upstream/{stage.upstream}"] = digest_path(upstream.folder(stage.upstream) / upstream.STAMP)
    lock = kinds.lock_file(stage.name, kinds.current(stage.name))
    parts["environment"] = digest_path(lock) if lock.exists() else "none"
    parts["code"] = code(stage.name)
    return parts


def need_inputs(config: Any) -> None:
    """Raises StageError where an input (a video, a folder) that the options name is not there or cannot be read."""
    for f in fields(config):
        path = getattr(config, f.name)
        if f.metadata.get("input") and path is not None:
            inputs.check(Path(path), f.name.upper())


def finished(subject: Subject, directory: str) -> dict:
    """The receipt of a directory that is to be read. Raises StageError: which stage makes it."""
    place, writer = subject.directory(directory), WRITER[directory.partition("/")[0]]
    done = receipt(place)
    if done is None:
        what = "is not a finished stage's directory" if place.exists() else "is not there"
        raise StageError(what, place, f"Run: make {writer} ID={subject.name}")
    if not isinstance(done.get("outputs", {}).get("digest"), str):
        again = f"Remove {place} and run: make {writer} ID={subject.name}"
        raise StageError("its receipt does not say what it holds", place / RECEIPT, again)
    return done


def key_of(parts: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def changes(parts: dict[str, str], done: dict) -> list[str]:
    """What differs between `parts` and those of a finished run, in words."""
    before = done.get("parts", {})
    words = []
    for name in sorted(parts.keys() | before.keys()):
        a, b = before.get(name), parts.get(name)
        if a != b:
            short = [x if x is None or len(str(x)) < 24 else str(x)[:8] for x in (a, b)]
            words.append(f"{name}: {short[0]} -> {short[1]}")
    return words


def is_done(stage: Stage, subject: Subject, config: Any, parts: dict[str, str]) -> tuple[bool, str]:
    """Whether the stage's directory is what these parts would make, and the line that says so."""
    place = subject.directory(stage.place(config))
    done = receipt(place)
    if done is None:
        return False, f"{stage.name} {subject.name}: to do"
    before = done.get("stage", stage.name)
    if before == IMPORTER != stage.name:
        return False, f"{stage.name} {subject.name}: to do, what is there was imported"
    if before != stage.name:
        return False, f"{stage.name} {subject.name}: to do, what is there is {before}'s"
    changed = changes(parts | _of_another_kind(stage, done), done)
    if changed:
        return False, f"{stage.name} {subject.name}: to do again, changed: {'; '.join(changed)}"
    if gone := lacking(place):
        return False, f"{stage.name} {subject.name}: to do again, {gone} of its files are gone"
    return True, f"{stage.name} {subject.name}: nothing to do, {place} is up to date"


def _of_another_kind(stage: Stage, done: dict) -> dict[str, str]:
    """The environment of a finished run, where it is one that we have a lock for and TORCH= asks for no other."""
    before = done.get("parts", {}).get("environment")
    ours = [] if kinds.asked() else [digest_path(kinds.lock_file(stage.name, kind)) for kind in kinds.of(stage.name)]
    return {"environment": before} if before in ours else {}


def standing(stage: Stage, subject: Subject, given: Collection[str] = ()) -> str:
    """The line that says that an import stands in a stage's place; "" where the stage has to look itself.

    What was brought stands as long as what it was brought with does: no edit of ours and no missing video changes it.
    `given`: the options of this call. Raises StageError where files of it are gone, and for options that would make
    something else of it.
    """
    if stage.name == IMPORTER or stage.part or not stage.writes:
        return ""
    place = subject.directory(stage.writes)
    done = receipt(place) or {}
    if done.get("stage") != IMPORTER or done.get("facts", {}).get("incomplete"):
        return ""
    for name, digest in done.get("parts", {}).items():
        if (receipt(subject.directory(name.rstrip("/"))) or {}).get("outputs", {}).get("digest") != digest:
            return ""
    if gone := lacking(place):
        raise StageError(f"{gone} of its files are gone", place, f"Run: make import ID={subject.name}")
    lasting = [f.name for f in fields(stage.config) if f.metadata.get("key", True) or f.metadata.get("input")]
    if asked := [name.upper() for name in lasting if name in given]:
        what = f"was imported, and {', '.join(asked)} would make something else of it"
        again = f"make {WRITER[stage.writes]} ID={subject.name} ... OPTIONS=--force"
        raise StageError(what, place, f"Leave it out; or to make it anew: {again}", Exit.USAGE)
    return f"{stage.name} {subject.name}: nothing to do, {place} was imported"
