"""Apptainer, for clusters where no daemon may run: it runs what `make save` wrote, from IMAGES=folder.

The description is the one that Docker gets (container.py); here it becomes a command line. A stage is held to the same:
no network, a read-only root, the caller's own uid, no way to new privileges. Limits on memory and processes are the
batch system's, which holds them for the whole job.
"""

import contextlib
import csv
import io
import json
import os
import selectors
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from avatarmake import ROOT
from avatarmake.contract.kinds import CPU
from avatarmake.engine import container, context, distribution, docker
from avatarmake.engine.builder import OURS
from avatarmake.engine.image_pins import named
from avatarmake.engine.kind import NO_CHOICE, Kind
from avatarmake.engine.request import Request
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from avatarmake.files.locking import locked

TOLD = "APPTAINERENV_"  # before the name of a variable: it goes into the container as it is, commas and all
GPUS = {"Runtimes": {"nvidia": {}}}  # what Docker would say of itself: --nv needs no more than the driver


def run(request: Request, environment: dict, kind: Kind = NO_CHOICE) -> int:
    """Run a stage in its image of a kind, its output passed on; returns its exit code."""
    if shutil.which("apptainer") is None:
        raise StageError("apptainer is not there", next="ENGINE=local does without it", exit=Exit.ENVIRONMENT)
    image, identity = prepared(request.stage.name, kind.name)
    environment = {"image": identity, **named(docker.short(request.stage.name, kind.name), identity), **environment}
    settings = container.settings(request, environment, GPUS, kind)
    with tempfile.TemporaryDirectory(prefix="avatarmake-") as scratch:
        words = argv(request.stage.name, settings, image, Path(scratch))
        told = {f"{TOLD}{name}": value for name, value in settings["environment"].items()}
        with subprocess.Popen(words, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as held:
            _pass_on(held, container.places(request))
            return held.wait()


def argv(stage: str, settings: dict, image: Path, scratch: Path) -> list[str]:
    """The command line for a stage's container. `scratch`: where its /tmp is; by itself that has 64 MB."""
    held = ["--containall", "--no-home", "--no-privs", "--net", "--network=none", f"--workdir={scratch}", "--pwd=/app"]
    mounts = [word for mount in settings["mounts"] for word in ("--mount", _mount(mount))]
    gpus = ["--nv"] if settings["device_requests"] else []
    command = ["/opt/venv/bin/python", "-m", f"stages.{stage}", *settings["command"]]
    return ["apptainer", "--quiet", "exec", *held, *gpus, *mounts, str(image), *command]


def _mount(mount: dict) -> str:
    """type=bind,src=...,dst=... as CSV, in which a path may hold commas and quotes."""
    words = ["type=bind", f"src={mount['Source']}", f"dst={mount['Target']}"] + (["ro"] if mount["ReadOnly"] else [])
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


def folder() -> Path:
    """Where `make save` wrote the images."""
    return Path(os.environ.get("IMAGES") or ROOT / "build" / "images").absolute()


def prepared(stage: str, kind: str = CPU) -> tuple[Path, str]:
    """The stage's image of a kind in Apptainer's format, made once from its file, and its id. Raises StageError."""
    name = docker.short(stage, kind)
    archive, sums = folder() / f"{name}.tar", distribution.sums(folder())
    if archive.name not in sums or not archive.is_file():
        advice = f"On a host with Docker: make save TO={folder()}; elsewhere: IMAGES=folder"
        raise StageError("there is no image of this stage", archive, advice, Exit.ENVIRONMENT)
    digest = sums[archive.name]
    image = archive.with_name(f"{name}-{digest[:12]}.sif")
    with locked(folder()):
        identity, labels = described(archive)
        if labels.get(f"{OURS}inputs") != context.digest(stage, labels.get(f"{OURS}base", ""), kind):
            advice = f"On a host with Docker, from this checkout: make save TO={folder()} ONLY={stage}"
            raise StageError("is of other sources than this checkout's", archive, advice, Exit.ENVIRONMENT)
        if not image.exists():
            _convert(archive, digest, image)
    return image, identity


def described(archive: Path) -> tuple[str, dict[str, str]]:
    """The id and the labels of the image that an archive of `docker save` holds."""
    try:
        with tarfile.open(archive) as tar:
            name = json.load(tar.extractfile("manifest.json"))[0]["Config"]
            config = json.load(tar.extractfile(name))
        return f"sha256:{Path(name).name.removesuffix('.json')}", config["config"].get("Labels") or {}
    except (tarfile.TarError, LookupError, TypeError, ValueError, AttributeError) as e:
        raise StageError(f"is no archive of an image: {e}", archive, "Copy it anew") from e


def _convert(archive: Path, digest: str, image: Path) -> None:
    if digest_path(archive) != digest:
        raise StageError("is not what `make save` wrote", archive, "Copy it anew", Exit.ENVIRONMENT)
    print(f"{image.name}: made from {archive.name}", file=sys.stderr, flush=True)
    new = image.with_name(f".{image.name}.new")
    new.unlink(missing_ok=True)
    words = ["apptainer", "--quiet", "build", "--disable-cache", str(new), f"docker-archive:{archive}"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise StageError(f"apptainer cannot take it: {said[-1]}", archive, exit=Exit.ENVIRONMENT)
    new.rename(image)


def _pass_on(held: subprocess.Popen, places: dict[str, str]) -> None:
    """Its output as it comes, with the user's paths. Ctrl-C reaches it by itself, and its last lines still come."""
    streams = {held.stdout: sys.stdout, held.stderr: sys.stderr}
    with selectors.DefaultSelector() as waiting:
        for stream in streams:
            waiting.register(stream, selectors.EVENT_READ)
        while waiting.get_map():
            with contextlib.suppress(KeyboardInterrupt):
                for key, _ in waiting.select():
                    text = key.fileobj.read1(2**16)
                    if not text:
                        waiting.unregister(key.fileobj)
                    streams[key.fileobj].write(container.as_the_user_knows(places, text.decode(errors="replace")))
                    streams[key.fileobj].flush()
