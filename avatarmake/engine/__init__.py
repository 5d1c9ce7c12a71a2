"""Where a stage runs: in its image (docker) or in its virtual environment (local), made from the same lock file."""

import os
from pathlib import Path

from avatarmake.assets import need_one
from avatarmake.contract import pipeline
from avatarmake.contract.execution import recover_if_torn
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import receipt, vouched
from avatarmake.contract.stage import load
from avatarmake.engine.revision import revision
from avatarmake.errors import Exit, StageError


def choose(stage: str) -> tuple[str, str]:
    """The engine for a stage and why: ENGINE=docker or local as it says; auto takes images that are there.

    auto never builds a first image: that takes minutes, and `make images` is there to ask for it.
    """
    asked = os.environ.get("ENGINE") or "auto"
    if asked in ("docker", "local"):
        return asked, f"ENGINE={asked}"
    if asked != "auto":
        raise StageError(f"there is no engine '{asked}'", next="ENGINE is auto, docker or local", exit=Exit.USAGE)
    from avatarmake.engine import docker

    trouble = docker.trouble()
    if trouble:
        return "local", f"auto: {trouble}"
    if docker.image(stage) is None:
        return "local", f"auto: Docker answers, but has no image of {stage}; `make images` builds them"
    return "docker", "auto: Docker answers and has the image"


def run(name: str, argv: list[str]) -> int:
    """Run a stage unless it is done: `ID [--data D] [options]`. Returns its exit code (local: becomes the stage)."""
    from avatarmake.engine import docker, local, request

    subject = _subject(argv)
    if subject:
        recover_if_torn(load(name), subject)  # or there is nothing that remembers the options
    stage = load(chosen(name, subject))
    asked = request.parse(stage, argv)
    if asked is None:
        return Exit.OK
    done, line = asked.state()
    if done and not asked.again:
        print(line, flush=True)
        return Exit.OK
    for names in stage.needs(asked.config):
        need_one(names)
    engine, why = choose(stage.name)
    kept = "".join(f", as before {word}" for word in asked.remembered.values())
    print(f"{stage.name} {asked.subject.name}: engine {engine} ({why}){kept}", flush=True)
    environment = {"why": why, "revision": revision(), "options": asked.options()}
    return docker.run(asked, environment) if engine == "docker" else local.run(asked, environment)


def _subject(argv: list[str]) -> Subject | None:
    """Whom a command line is about, before it is known which stage's options it has; None when it was --help."""
    names = [word for word in argv if not word.startswith("-")]
    data = next((word.split("=", 1)[1] for word in argv if word.startswith("--data=")), "data")
    return Subject(Path(data), names[0]) if names else None


def tracker(subject: Subject | None) -> str:
    """What `make track` runs."""
    return chosen("track", subject)


def chosen(target: str, subject: Subject | None) -> str:
    """The stage that a make target runs: of several that TRACKER= or TRAINER= names; without it, the one that made what
    is there, else our own."""
    if target not in pipeline.CHOICES:
        return target
    known, variable = pipeline.CHOICES[target], f"{target.upper()}ER"
    asked = os.environ.get(variable)
    if asked and asked not in known:
        names = f"{variable} is {' or '.join(known)}"
        raise StageError(f"there is no {variable.lower()} '{asked}'", next=names, exit=Exit.USAGE)
    if asked:
        return known[asked]
    place = subject.directory(load(target).writes) if subject else None
    done = receipt(place) if place and vouched(place) else None
    return (done or {}).get("stage", target)
