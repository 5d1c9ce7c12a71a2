"""The docker engine: builds one image per stage and runs stages in them. Every call to Docker is in this module."""

import contextlib
import os
import re
import signal
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import Mount

from avatarmake import ROOT, __version__, host
from avatarmake.contract.kinds import CPU
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import builder, canonical, container, context, image_pins, podman
from avatarmake.engine.kind import NO_CHOICE, Kind
from avatarmake.engine.request import Request
from avatarmake.engine.revision import git, revision
from avatarmake.environments import pytorch3d
from avatarmake.errors import Exit, StageError
from avatarmake.registry import alone

# by digest, so that the same sources make the same image anywhere; Python 3.11.16, of 2026-09
BASE = "python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b"
OWN_BASE = "avatarmake/base:bookworm"  # `make base`, where no registry of images can be reached
INPUTS = f"{builder.OURS}inputs"  # label: digest of what the image was made of
STANDS_ON = f"{builder.OURS}base"  # label: the id of the base
PROCESS = f"{builder.OURS}process"  # label of a container: the process on the host that started it
ADDED = f"{builder.OURS}pytorch3d"  # label: the wheels that PYTORCH3D added


def client() -> docker.DockerClient:
    """A connection to the daemon. Raises StageError with what to do."""
    by_podman = os.environ.get("ENGINE") == "podman"
    try:
        connection = podman.client(timeout=600) if by_podman else docker.from_env(timeout=600)
        connection.ping()
        return connection
    except DockerException as e:
        raise StageError(
            f"{'Podman' if by_podman else 'Docker'} does not answer: {_reason(e)}",
            next="Start it (sudo systemctl start docker, or dockerd), or type ENGINE=local",
            exit=Exit.ENVIRONMENT,
        ) from e


def trouble() -> str | None:
    """Why Docker cannot be used, or None when it can."""
    try:
        client().close()
    except StageError as e:
        return e.what
    return None


def _reason(error: Exception) -> str:
    text = str(error)
    for sign, words in (
        ("Permission denied", "this user may not use it (add them to the group docker)"),
        ("No such file or directory", "no daemon runs"),
        ("Connection refused", "no daemon runs"),
    ):
        if sign in text:
            return words
    return text.splitlines()[0][:200]


def info() -> dict:
    """What the daemon says of itself."""
    connection = client()
    try:
        return connection.info()
    finally:
        connection.close()


# --- images --------------------------------------------------------------------------------------------------------


def tag(stage: str, kind: str = CPU) -> str:
    return f"avatarmake/{stage}:{'latest' if kind == CPU else kind}"


def short(stage: str, kind: str = CPU) -> str:
    """What the image is called in files, registries and images.lock."""
    return stage if kind == CPU else f"{stage}-{kind}"


def environment(stage: str, kind: str = CPU) -> str:
    """The name of the image that `tag(stage, kind)` starts from."""
    return f"avatarmake/{stage}:{'' if kind == CPU else kind + '-'}environment"


def image(stage: str, kind: str = CPU) -> docker.models.images.Image | None:
    """The stage's image of a kind as it is now, be it out of date or not."""
    return named(tag(stage, kind))


def named(name: str) -> docker.models.images.Image | None:
    with contextlib.suppress(ImageNotFound):
        return client().images.get(name)
    return None


def base(connection: docker.DockerClient) -> tuple[str, str]:
    """Name and id of the base: BASE if given, else the first that is here, else the default one pulled."""
    asked = os.environ.get("BASE")
    for name in [asked] if asked else [BASE, OWN_BASE]:
        with contextlib.suppress(ImageNotFound):
            return name, connection.images.get(name).id
    try:
        print(f"pulling {asked or BASE}", file=sys.stderr, flush=True)
        return asked or BASE, connection.images.pull(asked or BASE).id
    except (APIError, DockerException) as e:
        raise StageError(
            f"the base image cannot be pulled: {_reason(e)}",
            asked or BASE,
            "Make one from Debian's archive: make base",
            Exit.ENVIRONMENT,
        ) from e


def is_current(stage: str, kind: str = CPU) -> bool:
    """Whether the stage's image is there and of the present sources, lock, base and PYTORCH3D."""
    there = image(stage, kind)
    return there is not None and is_of_these_sources(stage, there, kind)


def is_of_these_sources(stage: str, there: docker.models.images.Image, kind: str = CPU) -> bool:
    """Whether an image is what this host would build. Where its base is not here, as its label says that it was."""
    base_id = there.labels.get(STANDS_ON, "")
    with contextlib.suppress(ImageNotFound):
        asked = os.environ.get("BASE") or there.labels.get("org.opencontainers.image.base.name", "")
        base_id = client().images.get(asked).id if asked else ""
    return STANDS_ON in there.labels and there.labels.get(INPUTS) == context.digest(stage, base_id, kind)


def build(stage: str, force: bool = False, kind: str = CPU) -> tuple[docker.models.images.Image, bool]:
    """The stage's image, built if it is not of the present sources, lock, base and PYTORCH3D. Also whether it was."""
    added = " ".join(wheel.name for wheel in pytorch3d.wheels(stage, kind))
    there = image(stage, kind)
    if there is not None and is_of_these_sources(stage, there, kind) and not force:
        return there, False
    connection = client()
    base_name, base_id = base(connection)
    inputs = context.digest(stage, base_id, kind)
    extra = f", with {added}" if added else ""
    if not added and there is not None and there.labels.get(ADDED):
        extra = ", without the PyTorch3D that it had: PYTORCH3D= is not set"
    print(f"{stage}: building {tag(stage, kind)} on {base_name}{extra}", file=sys.stderr, flush=True)
    labels = _labels(load(stage), base_name, inputs, kind) | {STANDS_ON: base_id} | ({ADDED: added} if added else {})
    with alone("images"):  # one build at a time: each sweeps up what has no name, and another's has none yet
        packages = _environment(connection, stage, kind, base_name, base_id, added)
        with context.pack(stage, kind) as packed:
            _build(connection, stage, packed, tag(stage, kind), {"ENVIRONMENT": packages}, labels)
    return image(stage, kind), True


def _environment(
    connection: docker.DockerClient, stage: str, kind: str, base_name: str, base_id: str, added: str
) -> str:
    """The image of the stage's packages alone, which its own starts from: an edit of sources installs nothing anew."""
    name, inputs = environment(stage, kind), context.environment_digest(stage, base_id, kind)
    with contextlib.suppress(ImageNotFound):
        if connection.images.get(name).labels.get(INPUTS) == inputs:
            return name
    arguments = {"BASE": base_name} | ({"PYTORCH3D": added} if added else {})
    with context.pack_environment(stage, kind) as packed:
        _build(connection, stage, packed, name, arguments, {INPUTS: inputs})
    return name


def _build(connection: docker.DockerClient, stage: str, packed: IO[bytes], name: str, *settings: dict) -> None:
    try:
        builder.build(connection, packed, name, *settings)
        canonical.settle(connection, name)
    except builder.BuildError as e:
        raise _failure(stage, str(e), e.said) from None


def _failure(stage: str, error: str, said: list[str]) -> StageError:
    """Why a build stopped, with its last lines. Of wheels that the user gave the very last will do."""
    plain = re.sub(r"\x1b\[\d*m", "", "\n".join(said))
    lines = [line for line in plain.splitlines() if line and not line.startswith("Removing intermediate container")]
    if "$PYTORCH3D" in error:  # it quotes the command that failed
        said_last = lines[-1].removeprefix("ERROR: ").rstrip(".")
        return StageError(f"PYTORCH3D does not fit its image: {said_last}", stage, pytorch3d.ADVICE, Exit.ENVIRONMENT)
    tail = "\n  ".join(lines[-12:])
    return StageError(f"its image cannot be built: {error}\n  {tail}", stage, "", Exit.ENVIRONMENT)


def _labels(stage: Stage, base_name: str, inputs: str, kind: str) -> dict[str, str]:
    """OCI labels. Revision and time are those of the files in the image, so that another commit changes nothing."""
    paths = [p.relative_to(ROOT).as_posix() for p in context.files(stage.name, kind)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = {
        "title": f"avatarmake {stage.name}" + (f" ({kind})" if kind != CPU else ""),
        "description": stage.summary,
        "source": project.get("urls", {}).get("source", "unknown"),  # not git's remote: it differs between clones
        "revision": revision(*paths),
        "version": __version__,
        "created": git("log", "-1", "--format=%cI", "--", *paths) or "unknown",
        "licenses": project.get("license", "NOASSERTION"),
        "base.name": base_name,
    }
    return {INPUTS: inputs, **{f"org.opencontainers.image.{name}": value for name, value in labels.items()}}


def import_base(archive: Path) -> str:
    """A root file system as the image `avatarmake/base:bookworm`; returns its id."""
    connection = client()
    repository, name = OWN_BASE.split(":")
    connection.api.import_image_from_file(
        str(archive), repository=repository, tag=name, changes=["CMD python3", "ENV LANG=C.UTF-8"]
    )
    return connection.images.get(OWN_BASE).id


# --- running -------------------------------------------------------------------------------------------------------


def run(request: Request, environment: dict, kind: Kind = NO_CHOICE, mounts: Sequence[Mount] = ()) -> int:
    """Run a stage in its image of a kind, its output streamed; returns its exit code. Ctrl-C stops the container."""
    built, _ = build(request.stage.name, kind=kind.name)
    connection = client()
    if request.stage.writes:
        _join_running(connection, request)
    else:  # of servers there may be several
        _stop_orphans(connection, request)
    pinned = image_pins.named(short(request.stage.name, kind.name), built.id)
    environment = {"engine": "docker", "image": built.id, **pinned, **environment}
    settings = container.settings(request, environment, connection.info(), kind)
    settings["mounts"] += mounts
    settings["labels"][PROCESS] = str(os.getpid())
    with _explained():
        held = connection.containers.create(built.id, **settings)
    return _stream(held, container.places(request))


def _join_running(connection: docker.DockerClient, request: Request) -> None:
    """Clear what a killed run left: wait for its container if it still works (its result counts), then remove it."""
    labels = [f"{name}={value}" for name, value in container.identity(request).items()]
    for left in connection.containers.list(all=True, filters={"label": labels}):
        with contextlib.suppress(NotFound):
            if left.status == "running":
                print(f"{request.stage.name}: still running in container {left.short_id}; joining it", flush=True)
                _stream(left, container.places(request), start=False)
            else:
                left.remove(force=True)


def _stop_orphans(connection: docker.DockerClient, request: Request) -> None:
    """Remove servers that a killed process left: nobody can come to them any more."""
    labels = [f"{name}={value}" for name, value in container.identity(request).items()]
    for left in connection.containers.list(all=True, filters={"label": labels}):
        try:
            os.kill(int(left.labels[PROCESS]), 0)
        except ProcessLookupError:
            with contextlib.suppress(NotFound, APIError):
                left.remove(force=True)
        except PermissionError:
            pass  # somebody else's, and alive


def _stream(held: docker.models.containers.Container, places: dict[str, str], start: bool = True) -> int:
    """Start a container, pass its output on until it ends, and remove it. Returns its exit code."""
    try:
        with _explained(), _stopping_on_signals(held):
            output = held.attach(stream=True, logs=not start, demux=True)
            if start:
                held.start()
            for out, err in output:
                for text, stream in ((out, sys.stdout), (err, sys.stderr)):
                    if text:
                        stream.write(container.as_the_user_knows(places, text.decode(errors="replace")))
                        stream.flush()
            code = held.wait()["StatusCode"]
        held.reload()
        if held.attrs["State"].get("OOMKilled"):
            raise StageError(
                "out of memory",
                next=f"The container had {host.size(host.container_memory())}. Close other programs, and run it again",
                exit=Exit.ENVIRONMENT,
            )
        return code
    finally:
        with contextlib.suppress(NotFound, APIError):
            held.remove(force=True)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What the daemon refuses, in its own words and without a traceback."""
    try:
        yield
    except APIError as e:
        what = f"Docker refuses to run the container: {e.explanation or e}"
        raise StageError(what, next="ENGINE=local does without Docker", exit=Exit.ENVIRONMENT) from e


@contextlib.contextmanager
def _stopping_on_signals(held: docker.models.containers.Container) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the container; its last lines and its exit code still come through."""

    def stop(number, frame):
        with contextlib.suppress(APIError, NotFound):
            held.kill(signal="SIGINT")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def containers(subject: str, data: Path) -> dict[str, str]:
    """Stages of this subject that run in containers now: stage -> container id."""
    labels = [f"avatarmake.subject={subject}", f"avatarmake.data={data.absolute()}"]
    found = client().containers.list(filters={"label": labels})
    return {c.labels["avatarmake.stage"]: c.short_id for c in found}
