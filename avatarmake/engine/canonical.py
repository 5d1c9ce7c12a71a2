"""An image without the hour at which it was built: the same sources make the same id on every daemon.

Docker's classic builder writes the time, a container's name and the daemon's version into every image. Layers have none
of that here (the Dockerfiles set all times, context.py those of what it sends), so a description of our own, by the
OCI image specification and with nothing in it but what the sources and the base decide, is all that is needed: the
daemon is given it in the form of `docker load`, and finds the layers that it has just made.
"""

import datetime
import hashlib
import io
import json
import sys
import tarfile

import docker
from docker.errors import APIError, ImageLoadError

from avatarmake.engine import builder

EPOCH = "1970-01-01T00:00:00Z"
KEPT = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "StopSignal")


def settle(connection: docker.DockerClient, name: str) -> None:
    """Put an image of the same layers and settings, without times, in the place of one that was just built."""
    made = connection.images.get(name).attrs
    config = json.dumps(described(made), sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(config).hexdigest()
    layers = [f"{layer.removeprefix('sha256:')}/layer.tar" for layer in made["RootFS"]["Layers"]]
    listed = json.dumps([{"Config": f"{digest}.json", "RepoTags": [name], "Layers": layers}]).encode()
    try:
        connection.images.load(_tar({f"{digest}.json": config, "manifest.json": listed}))
    except (APIError, ImageLoadError) as e:  # containerd's store, and Podman's, want the layers too
        print(f"{name}: its id is this build's own, since the engine takes no description alone: {e}", file=sys.stderr)
    builder.sweep(connection)


def described(made: dict) -> dict:
    """An image's description by the OCI specification. `made`: what the daemon says of the one that it built.

    As its time it has that of the commit its files are of, where its labels say one.
    """
    labels = made["Config"].get("Labels") or {}
    created = _utc(labels.get("org.opencontainers.image.created", ""))
    steps = [{"created": created, "created_by": f"layer {layer}"} for layer in made["RootFS"]["Layers"]]
    last = {"created": created, "created_by": f"LABEL {builder.OURS}inputs", "empty_layer": True}
    settings = {name: made["Config"][name] for name in KEPT if made["Config"].get(name)}
    return {
        "architecture": made["Architecture"],
        "os": made["Os"],
        **({"variant": made["Variant"]} if made.get("Variant") else {}),
        "created": created,
        "config": settings | {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": made["RootFS"]["Layers"]},
        "history": [*steps, last],
    }


def _utc(said: str) -> str:
    try:
        moment = datetime.datetime.fromisoformat(said).astimezone(datetime.UTC)
    except ValueError:
        return EPOCH
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _tar(files: dict[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed
