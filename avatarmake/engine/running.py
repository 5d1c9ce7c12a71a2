"""Stages in containers of Docker's or Podman's: started, listened to, stopped, and joined again after a kill."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Mount

from avatarmake import host
from avatarmake.engine import builder, container, docker, image_pins
from avatarmake.engine.kind import NO_CHOICE, Kind
from avatarmake.engine.request import Request
from avatarmake.errors import Exit, StageError

PROCESS = f"{builder.OURS}process"  # label of a container: the process on the host that started it


def run(request: Request, environment: dict, kind: Kind = NO_CHOICE, mounts: Sequence[Mount] = ()) -> int:
    """Run a stage in its image of a kind, its output streamed; returns its exit code. Ctrl-C stops the container."""
    built, _ = docker.build(request.stage.name, kind=kind.name)
    connection = docker.client()
    if request.stage.writes:
        _join_running(connection, request)
    else:  # of servers there may be several
        _stop_orphans(connection, request)
    pinned = image_pins.named(docker.short(request.stage.name, kind.name), built.id)
    environment = {"engine": "docker", "image": built.id, **pinned, **environment}
    settings = container.settings(request, environment, connection.info(), kind)
    settings["mounts"] += mounts
    settings["labels"][PROCESS] = str(os.getpid())
    with _explained():
        held = connection.containers.create(built.id, **settings)
    return _stream(held, container.places(request))


def _join_running(connection: DockerClient, request: Request) -> None:
    """Clear what a killed run left: wait for its container if it still works (its result counts), then remove it."""
    labels = [f"{name}={value}" for name, value in container.identity(request).items()]
    for left in connection.containers.list(all=True, filters={"label": labels}):
        with contextlib.suppress(NotFound):
            if left.status == "running":
                print(f"{request.stage.name}: still running in container {left.short_id}; joining it", flush=True)
                _stream(left, container.places(request), start=False)
            else:
                left.remove(force=True)


def _stop_orphans(connection: DockerClient, request: Request) -> None:
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


def _stream(held: Container, places: dict[str, str], start: bool = True) -> int:
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
def _stopping_on_signals(held: Container) -> Iterator[None]:
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
    found = docker.client().containers.list(filters={"label": labels})
    return {c.labels["avatarmake.stage"]: c.short_id for c in found}
