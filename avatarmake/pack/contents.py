"""What goes into a pack: all that says how a subject was made, and of its data what is asked for.

    pack.json                     subject, revision, stages, locks, patch sets, assets, images; all files, by digest
    changes.diff                  what the working tree has beyond the revision, where that is taken along
    assets.lock                   the host's
    subject/frames/stage.json     receipts, each with SHA256SUMS, the digests of all outputs; and figures as files
    subject/frames/...            the directory itself, where WITH= names it
    inputs/video/roman.mp4        an input, likewise
"""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

from avatarmake import ROOT, __version__, patches
from avatarmake.assets import pins
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import STAGES, WRITER
from avatarmake.contract.receipts import RECEIPT, SUMS, listed, receipt
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import request
from avatarmake.errors import Exit, StageError
from avatarmake.files import inputs
from avatarmake.files.digests import digest_path
from avatarmake.pack import archive, tree

SUBJECT, INPUTS, CHANGES = "subject", "inputs", "changes.diff"
FIGURES = ("metrics.json", "evaluation.json")  # what stages say in figures besides their receipts
LOCKS = ("requirements.lock", "pyproject.toml")  # the host's; a stage's are beside its Dockerfile


@dataclass(frozen=True)
class Made:
    """A finished directory of a subject, and the inputs from outside that it was made of: field -> where they are."""

    stage: Stage
    directory: str
    stamp: dict
    inputs: dict[str, Path]


def made(subject: Subject) -> list[Made]:
    """All that a subject has, in pipeline order. Raises StageError where something of it is not up to date.

    A pack promises that this checkout makes these results: each must be what it would say "nothing to do" of.
    """
    found = []
    for name in STAGES:
        stage = load(name)
        for directory in stage.places(subject):
            stamp = receipt(subject.directory(directory))
            if stamp is not None and stamp.get("stage") == name:
                found.append(Made(stage, directory, stamp, _checked(stage, subject, directory, stamp)))
    if not found:
        raise StageError("nothing of this subject is made", subject.root, f"Run: make report ID={subject.name}")
    return found


def _checked(stage: Stage, subject: Subject, directory: str, stamp: dict) -> dict[str, Path]:
    """The inputs of a directory that is up to date."""
    options = stamp.get("environment", {}).get("options", {})
    asked = request.parse(stage, [subject.name, f"--data={subject.data}", *options.values()])
    asked = replace(asked, remembered=asked.given, given={})  # inputs may be gone, as for `make status`
    done, line = asked.state()
    again = f"Run it again: make {WRITER.get(directory.partition('/')[0], stage.name)} ID={subject.name}"
    if not done:
        raise StageError(f"is not what this checkout makes: {line.split(': ', 1)[1]}", directory, again)
    if not listed(subject.directory(directory)):
        raise StageError("its list of files is gone, or is not its receipt's", subject.directory(directory), again)
    if stage.part:  # who drives is somebody else's, and no pack's
        return {}
    mine = [subject.directory(written).absolute() for written in WRITER]
    named = {f.name: getattr(asked.config, f.name) for f in fields(asked.config) if f.metadata.get("input")}
    return {
        name: path
        for name, path in named.items()
        if path is not None and name in stamp["parts"] and not any(path.is_relative_to(place) for place in mine)
    }


def gather(subject: Subject, wanted: list[str], diff: bool) -> tuple[dict, dict[str, archive.Source]]:
    """(about, sources) of a pack, as `archive.write` takes them. `wanted`: directories, stages or inputs, or `all`."""
    there = made(subject)
    data = _data(there, wanted)
    about = {
        "avatarmake": __version__,
        "subject": subject.name,
        "revision": tree.commit() or "unknown",
        "stages": [{"stage": each.stage.name, "directory": each.directory} for each in there],
        "data": sorted(data),
        "inputs": {name: path.name for each in there for name, path in each.inputs.items()},
        "locks": locks([each.stage.name for each in there]),
        "patches": {name: patches.digest(name) for name in patches.names()},
        "assets": _assets(there),
        "images": {
            each.stage.name: each.stamp["environment"].get("digest") or each.stamp["environment"]["image"]
            for each in there
            if "image" in each.stamp["environment"]
        },
    }
    sources: dict[str, archive.Source] = {}
    if changed := tree.modified():
        if not diff:
            some = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            advice = "Commit that, or take the difference along: DIFF=1"
            raise StageError(f"is not as {about['revision'][:12]} has it: {some}", ROOT, advice, Exit.USAGE)
        sources[CHANGES] = tree.changes()
    if pins.LOCK.exists():
        sources[pins.LOCK.name] = pins.LOCK
    for each in there:
        sources |= _files(subject, each, each.directory in data)
        for name in each.inputs.keys() & data:
            sources |= _input(name, each.inputs[name], each.stamp["parts"][name])
    return about, sources


def locks(stages: list[str]) -> dict[str, str]:
    """Digests of what decides the environments: locks, Dockerfiles, the host's own list."""
    names = [*LOCKS, *(f"docker/{s}/{file}" for s in stages for file in ("Dockerfile", "requirements.lock"))]
    return {name: digest_path(ROOT / name) for name in names}


def _data(there: list[Made], wanted: list[str]) -> set[str]:
    """What of `wanted` means: names of directories and inputs that there are. A stage's name means what it writes."""
    known = {each.directory: {each.directory} for each in there}
    for each in there:
        known.setdefault(each.stage.name, set()).add(each.directory)
        known.setdefault(each.directory.partition("/")[0], set()).add(each.directory)
        known |= {name: {name} for name in each.inputs}
    known["all"] = set().union(*known.values())
    for name in wanted:
        if name not in known:
            what = f"there is no '{name}' to take along"
            raise StageError(what, next=f"WITH is some of: {', '.join(sorted(known))}", exit=Exit.USAGE)
    return set().union(*(known[name] for name in wanted))


def _assets(there: list[Made]) -> dict[str, str]:
    """Weights that were used: name -> digest."""
    parts = [part for each in there for part in each.stamp["parts"].items()]
    return {name.removeprefix("assets/"): digest for name, digest in parts
            if name.startswith("assets/") and digest != "none"}  # fmt: skip


def _files(subject: Subject, each: Made, whole: bool) -> dict[str, archive.Source]:
    """A directory's receipt and figures, or all of it. Raises StageError for files that were changed since."""
    place, sums = subject.directory(each.directory), listed(subject.directory(each.directory))
    names = [name for name in sums if whole or name in FIGURES]
    for name in names:
        if not (place / name).is_file() or (place / name).is_symlink() or digest_path(place / name) != sums[name]:
            again = f"Run it again: make {each.stage.name} ID={subject.name} OPTIONS=--force"
            raise StageError("is not what its stage wrote", place / name, again)
    return {f"{SUBJECT}/{each.directory}/{name}": place / name for name in (*names, RECEIPT, SUMS)}


def _input(name: str, path: Path, digest: str) -> dict[str, archive.Source]:
    """A video, or the images that are one. Numbered files keep their names, so that the same pattern finds them."""
    if not os.path.exists(inputs.place(path)) or inputs.digest(path) != digest:
        raise StageError("is gone, or is not what it was", path, f"Leave '{name}' out of WITH=, or restore it")
    if inputs.is_numbered(path) or path.is_dir():
        return {f"{INPUTS}/{name}/{file.name}": file for file in inputs.files(path)}
    return {f"{INPUTS}/{name}/{path.name}": path}


def input_place(folder: Path, name: str, called: str, files: dict) -> Path:
    """Where an input of an unpacked pack is: the file, the folder, or the pattern that its numbered files have."""
    place = folder / INPUTS / name
    inside = [file for file in files if file.startswith(f"{INPUTS}/{name}/")]
    return place if not inputs.NUMBER.search(called) and inside != [f"{INPUTS}/{name}/{called}"] else place / called
