"""How a stage's container is made, as docker-py's arguments: what it sees, and what it is held to.

It gets the caller's uid, no network, a read-only root, no capabilities and no way to new privileges; it writes to the
shared volume and to /tmp, and reads the inputs that the stage's options name. `info` is what the daemon says of itself.
"""

import json
import os
import platform
import re
import sys
from dataclasses import fields, replace
from pathlib import Path

from docker.types import Mount

from avatarmake import assets, gpu, host
from avatarmake.contract import upstream
from avatarmake.contract.kinds import CPU
from avatarmake.engine import devices
from avatarmake.engine.kind import NO_CHOICE, Kind
from avatarmake.engine.request import Request
from avatarmake.files import inputs

# How many threads there are and which of a processor's instructions are taken: numbers are rounded by it, and the same
# host shall give the same bytes in a container and without
ROUNDING = (
    *(f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")),
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY"),
    *("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"),
)


def settings(request: Request, environment: dict, info: dict, kind: Kind = NO_CHOICE) -> dict:
    """docker-py's arguments for a stage's container. One with a PyTorch for CUDA gets this process's GPUs."""
    mounts, config = _mounts(request)
    variables = request.variables("docker", Path("/data"), Path("/assets"), kind)
    variables |= {"AVATARMAKE_UPSTREAM": "/upstream"} if request.stage.upstream else {}
    variables["AVATARMAKE_HOST"] = platform.node()
    variables |= {name: os.environ[name] for name in (*ROUNDING, "TERM", "COLUMNS") if name in os.environ}
    variables["AVATARMAKE_ENVIRONMENT"] = json.dumps(environment)
    return {
        "command": request.words(Path("/data"), config),
        "mounts": mounts,
        "environment": variables,
        "labels": identity(request),
        "tty": sys.stdout.isatty() and sys.stderr.isatty(),
        "device_requests": devices.requests(info, gpu.here()) if kind.name != CPU else [],
        **confinement(info),
    }


def confinement(info: dict) -> dict:
    """What every container is held to, as docker-py's arguments."""
    limit = host.container_memory()
    return {
        # under a rootless daemon the container's root IS the caller
        "user": "0:0" if devices.is_rootless(info) else f"{os.getuid()}:{os.getgid()}",
        "network_mode": "none",
        "read_only": True,
        "tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=1g"},
        "shm_size": "1g",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": limit,
        "memswap_limit": limit,
        "pids_limit": 2048,
        "stop_signal": "SIGINT",
    }


def places(request: Request) -> dict[str, str]:
    """Path in the container -> on the host, of all that it sees of the host; the assets' even where there are none."""
    mounts, _ = _mounts(request)
    return {"/assets": str(assets.folder())} | {mount["Target"]: mount["Source"] for mount in mounts}


def _mounts(request: Request) -> tuple[list[Mount], object]:
    """The shared volume, the assets and the inputs; and the config with the inputs where the container sees them."""
    data = request.subject.data.absolute()
    data.mkdir(parents=True, exist_ok=True)  # or the daemon would make it, as root
    mounts = [Mount("/data", str(data), type="bind")]
    if assets.folder().is_dir():
        mounts.append(Mount("/assets", str(assets.folder()), type="bind", read_only=True))
    if request.stage.upstream:
        patched = upstream.folder(request.stage.upstream)
        mounts.append(Mount("/upstream", str(patched), type="bind", read_only=True))
    inside = {}
    for f in fields(request.config):
        path = getattr(request.config, f.name)
        if f.metadata.get("input") and path is not None:
            place = inputs.place(path)  # of numbered files their folder
            mounted = Path("/input") / f.name / place.name
            inside[f.name] = mounted / path.relative_to(place)
            mounts.append(Mount(str(mounted), str(place), type="bind", read_only=True))
    return mounts, replace(request.config, **inside)


def as_the_user_knows(mounts: dict[str, str], text: str) -> str:
    """What a container says, with the host's paths (`mounts`: path inside -> on the host) in place of its own."""
    inside = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    return re.sub(rf"(?<![\w/.~-])(?:{inside})(?![\w-]|\.\w)", lambda found: mounts[found[0]], text)


def identity(request: Request) -> dict[str, str]:
    """Labels by which a later call finds this container. Shards of one stage are different runs."""
    words = {"stage": request.stage.name, "subject": request.subject.name, "data": request.subject.data.absolute()}
    words["directory"] = request.stage.place(request.config)
    words["shard"] = getattr(request.config, "shard", None) or "all"
    return {f"avatarmake.{name}": str(value) for name, value in words.items()}
