"""The docker engine's images, one a stage, and the way to the daemon. running.py runs stages in them."""

import contextlib
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import IO

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from avatarmake import ROOT, __version__
from avatarmake.contract.kinds import CPU
from avatarmake.contract.stage import Stage, load
from avatarmake.engine import builder, canonical, context, podman
from avatarmake.engine.revision import git, revision
from avatarmake.environments import pytorch3d
from avatarmake.errors import Exit, StageError
from avatarmake.registry import alone

# by digest, so that the same sources make the same image anywhere; Python 3.11.16, of 2026-09
BASE = "python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b"
OWN_BASE = "avatarmake/base:bookworm"  # `make base`, where no registry of images can be reached
INPUTS = f"{builder.OURS}inputs"  # label: digest of what the image was made of
STANDS_ON = f"{builder.OURS}base"  # label: the id of the base
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
