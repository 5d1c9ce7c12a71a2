"""Podman, rootless, by Docker's own client: Podman answers Docker's API, and what it has beyond that is added here.

That is two things, of which Docker's API knows nothing and Podman 4.3 takes by its own call for a new container only:
the user namespace `keep-id`, in which the caller is the same user inside, so that files come out as theirs (without it
they belong to one of /etc/subuid); and GPUs by their CDI names, nvidia.com/gpu=all.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import APIError, DockerException

from avatarmake.errors import Exit, StageError

GPU = "nvidia.com/gpu"  # the CDI kind that NVIDIA's toolkit writes
CDI = (Path("/etc/cdi"), Path("/var/run/cdi"))
IDLE = 60  # seconds after which a service that was started here ends


class Api(docker.APIClient):
    """Docker's API as Podman answers it."""

    def create_container_from_config(self, config: dict, *_) -> dict:
        """Podman's own call for a new container."""
        response = self.post(f"{self.base_url}/v4.0.0/libpod/containers/create", json=spec(config), timeout=600)
        if not response.ok:
            raise APIError(response.text, response, response.json().get("message"))
        return response.json()

    def info(self) -> dict:
        """With the runtime by which Docker says that it can give GPUs, where CDI knows of them."""
        said = super().info()
        return said | {"Runtimes": said.get("Runtimes", {}) | ({"nvidia": {}} if has_gpus() else {})}


def client(timeout: int) -> docker.DockerClient:
    """A connection to the caller's Podman, whose service is started where it does not run. Raises DockerException."""
    place = socket()
    if not _answers(place, timeout):
        _start(place)
    connection = docker.DockerClient(base_url=f"unix://{place}", version="auto", timeout=timeout)
    connection.api.close()
    connection.api = Api(base_url=f"unix://{place}", version="auto", timeout=timeout)
    return connection


def socket() -> Path:
    """Where Podman's service listens: CONTAINER_HOST, else where it does by itself."""
    asked = os.environ.get("CONTAINER_HOST", "").removeprefix("unix://")
    root = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(asked or ("/run" if os.getuid() == 0 else root) + "/podman/podman.sock")


def spec(config: dict) -> dict:
    """Podman's description of a new container, from Docker's. The caller is the same user inside."""
    host = config["HostConfig"]
    made = {
        "image": config["Image"],
        "command": config.get("Cmd") or [],
        "entrypoint": config.get("Entrypoint"),
        "env": dict(word.split("=", 1) for word in config.get("Env") or []),
        "labels": config.get("Labels") or {},
        "terminal": config.get("Tty", False),
        "stop_signal": int(signal.Signals[config["StopSignal"]]) if config.get("StopSignal") else None,
        "user": config.get("User") or None,
        "userns": {"nsmode": "keep-id"} if os.getuid() else None,
        "netns": {"nsmode": host.get("NetworkMode") or "none"},
        "read_only_filesystem": host.get("ReadonlyRootfs", False),
        "cap_drop": host.get("CapDrop") or [],
        "no_new_privileges": "no-new-privileges" in (host.get("SecurityOpt") or []),
        "shm_size": host.get("ShmSize"),
        "mounts": [*map(_mount, host.get("Mounts") or []), *map(_tmpfs, (host.get("Tmpfs") or {}).items())],
        "resource_limits": {
            "memory": {"limit": host.get("Memory"), "swap": host.get("MemorySwap")},
            "pids": {"limit": host.get("PidsLimit")},
        },
        "devices": [{"path": name} for request in host.get("DeviceRequests") or [] for name in cdi_names(request)],
    }
    return {name: value for name, value in made.items() if value not in (None, [])}


def cdi_names(request: dict) -> list[str]:
    """Docker's request for GPUs as CDI names."""
    if ids := request.get("DeviceIDs"):
        return [f"{GPU}={name}" for name in ids]
    count = request.get("Count") or 0
    return [f"{GPU}=all"] if count < 0 else [f"{GPU}={number}" for number in range(count)]


def has_gpus() -> bool:
    """Whether a CDI description of NVIDIA's GPUs is there: `nvidia-ctk cdi generate` writes one."""
    files = (path for folder in CDI for path in folder.glob("*") if path.suffix in (".json", ".yaml"))
    return any(GPU in path.read_text(errors="replace") for path in files)


def _mount(mount: dict) -> dict:
    rights = ["ro"] if mount.get("ReadOnly") else ["rw"]
    return {"destination": mount["Target"], "source": mount["Source"], "type": "bind", "options": ["rbind", *rights]}


def _tmpfs(entry: tuple[str, str]) -> dict:
    place, options = entry
    return {"destination": place, "source": "tmpfs", "type": "tmpfs", "options": options.split(",")}


def _answers(place: Path, timeout: int) -> bool:
    if not place.exists():
        return False
    try:
        docker.APIClient(base_url=f"unix://{place}", version="auto", timeout=timeout).close()
    except DockerException:  # what a service that was killed leaves
        return False
    return True


def _start(place: Path) -> None:
    """`podman system service`: it ends by itself once nobody has asked for a while."""
    place.parent.mkdir(parents=True, exist_ok=True)
    words = ["podman", "system", "service", f"--time={IDLE}", f"unix://{place}"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    try:
        service = subprocess.Popen(words, start_new_session=True, **pipes)
    except FileNotFoundError as e:
        raise StageError("podman is not there", next="apt-get install podman uidmap", exit=Exit.ENVIRONMENT) from e
    for _ in range(100):
        if place.exists():
            return
        if service.poll() is not None:
            said = service.stderr.read().strip().splitlines() or [f"with {service.returncode}"]
            raise StageError(f"Podman's service ended: {said[-1]}", exit=Exit.ENVIRONMENT)
        time.sleep(0.1)
    raise StageError("Podman's service does not answer", place, exit=Exit.ENVIRONMENT)
