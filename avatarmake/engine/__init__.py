"""Where a stage runs: in an image (docker, podman, apptainer) or a virtual environment (local), both of one lock."""

import os
from pathlib import Path
from typing import NamedTuple

from avatarmake.assets import need_one
from avatarmake.contract import pipeline
from avatarmake.contract.execution import recover_if_torn
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import receipt, vouched
from avatarmake.contract.stage import load
from avatarmake.engine import kind
from avatarmake.engine.kind import Kind
from avatarmake.engine.processor import described
from avatarmake.engine.revision import revision
from avatarmake.errors import Exit, StageError

ENGINES = ("docker", "podman", "apptainer", "local")


class Choice(NamedTuple):
    """Where a stage runs, why there, and in which of its environments."""

    engine: str  # one of ENGINES
    why: str
    kind: Kind


def choose(stage: str, device: str = "auto") -> Choice:
    """The engine for a stage: ENGINE as it says; auto takes images that are there.

    auto never builds a first image: that takes minutes, and `make images` is there to ask for it. Nor does it take
    Docker where that cannot give a container the GPU that the stage would have without. `device`: the stage's option.
    """
    from avatarmake.engine import docker

    asked = os.environ.get("ENGINE") or "auto"
    if asked in ENGINES:
        daemon = docker.info if asked in ("docker", "podman") else None
        return Choice(asked, f"ENGINE={asked}", kind.choose(stage, device, daemon))
    if asked != "auto":
        known = f"ENGINE is auto, {', '.join(ENGINES)}"
        raise StageError(f"there is no engine '{asked}'", next=known, exit=Exit.USAGE)
    trouble = docker.trouble()
    if trouble:
        return Choice("local", f"auto: {trouble}", kind.choose(stage, device))
    here, there = kind.choose(stage, device), kind.choose(stage, "auto" if device == "cuda" else device, docker.info)
    if here.name != there.name:
        return Choice("local", f"auto: {there.why}", here)
    if docker.image(stage, there.name) is None:
        name = docker.tag(stage, there.name).removesuffix(":latest").removeprefix("avatarmake/")
        return Choice("local", f"auto: Docker answers, but has no image of {name}; `make images` builds them", here)
    return Choice("docker", "auto: Docker answers and has the image", there)


def run(name: str, argv: list[str]) -> int:
    """Run a stage unless it is done: `ID [--data D] [options]`. Returns its exit code (local: becomes the stage)."""
    from avatarmake.engine import apptainer, local, request, running

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
    engine, why, build = choose(stage.name, getattr(asked.config, "device", "auto"))
    kept = "".join(f", as before {word}" for word in asked.remembered.values())
    words = f"; {build}" if build.why else ""
    print(f"{stage.name} {asked.subject.name}: engine {engine} ({why}){words}{kept}", flush=True)
    environment = {"engine": engine, "why": why, "revision": revision(), "options": asked.options()}
    environment |= {"processor": described()} | ({"kind": build.name, "kind_why": build.why} if build.why else {})
    by = {"docker": running, "podman": running, "apptainer": apptainer, "local": local}[engine]
    return by.run(asked, environment, build)


def serve(name: str, argv: list[str]) -> int:
    """Run a server until it is stopped: `ID [--data D] [options]`. Returns its exit code (local: becomes it)."""
    from avatarmake.engine import local, relay, request

    engine, why, _ = choose(name)
    if engine == "local":
        return local.become(name, argv, {})
    if engine == "apptainer":
        raise StageError(f"{name} does not run in Apptainer", next="Type ENGINE=local", exit=Exit.ENVIRONMENT)
    asked = request.parse(load(name), argv)
    if asked is None:
        return Exit.OK
    print(f"{name} {asked.subject.name}: engine {engine} ({why})", flush=True)
    return relay.serve(asked, {"why": why, "revision": revision()})


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
    maker = (done or {}).get("stage")
    return maker if maker in known.values() else target
