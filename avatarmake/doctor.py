"""`make doctor`: what this host can do, one line each, and what to do about what is missing."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from avatarmake import ROOT, assets, gpu, host, registry
from avatarmake.contract import kinds
from avatarmake.contract.pipeline import STAGES
from avatarmake.engine import devices, docker, kind
from avatarmake.environments import platforms, venv, wheels
from avatarmake.errors import Exit
from avatarmake.limits import cores
from avatarmake.terminal import print_table

GOOD, MISSING, BAD = "[green]ok[/]", "[yellow]--[/]", "[red]!![/]"
NEEDED_MEMORY, NEEDED_DISK = 4e9, 10e9  # training at 512 px; environments, images and a subject or two


def show() -> int:
    """Print the table. Returns an exit code: only what stops every engine is a fault."""
    rows = [row for check in (_python, _docker, _images, _local, _gpu, _memory, _disk, _assets) for row in check()]
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    print_table(table)
    return Exit.ENVIRONMENT if any(row[0] == BAD for row in rows) else Exit.OK


Rows = Iterator[tuple[str, str, str]]


def _python() -> Rows:
    fits = sys.version_info[:2] == (3, 11)
    advice = "" if fits else ". The stages need 3.11: PYTHON=python3.11"
    yield GOOD if fits else BAD, "python", f"{platform.python_version()} at {sys.executable}{advice}"


def _docker() -> Rows:
    trouble = docker.trouble()
    if trouble:
        yield MISSING, "docker", f"{trouble}. Not needed: ENGINE=local does the same without it"
        return
    info = docker.client().info()
    yield GOOD, "docker", f"{info['ServerVersion']}, storage {info['Driver']}, cgroup version {info['CgroupVersion']}"
    held = host.size(host.container_memory())
    yield GOOD, "containers", f"uid {os.getuid()}, no network, read-only root, at most {held} of memory"


def _images() -> Rows:
    if docker.trouble():
        return
    tags = {docker.tag(stage, kind.choose(stage, daemon=docker.info).name): stage for stage in STAGES}
    missing = [stage for tag, stage in tags.items() if not docker.named(tag)]
    if missing:
        yield MISSING, "images", f"not built: {', '.join(missing)}. make images (first `make base` without a registry)"
    else:
        yield GOOD, "images", "one for every stage"


def _local() -> Rows:
    all_of_them = [(stage, name) for stage in STAGES for name in kinds.of(stage)]
    made = [venv.folder(stage, name).name for stage, name in all_of_them if venv.is_made(stage, name)]
    yield GOOD, "environments", f"made: {', '.join(made) or 'none'}; the others on first use, by uv {_uv_version()}"
    if torch := wheels.find_links("torch"):
        yield GOOD, "torch wheel", torch[0]
    elif registry.settings().keys() & {"extra-index-url", "index-url"}:
        yield GOOD, "torch wheel", "from the index that pip is set to, else from PyTorch's own for the CPU"
    else:
        yield GOOD, "torch wheel", "from PyTorch's own index for the CPU"
    if platforms.here() not in platforms.SERVED:
        yield MISSING, "this machine", f"{' on '.join(platforms.here())}: no lock was made for it"
    for stage, package in platforms.without(platforms.here()).items():
        yield MISSING, f"for {stage}", f"{package} has no wheel for {' on '.join(platforms.here())}"


def _uv_version() -> str:
    try:
        return importlib.metadata.version("uv")
    except importlib.metadata.PackageNotFoundError:
        return "on PATH" if shutil.which("uv") else "missing"


def _gpu() -> Rows:
    """The GPU, whether containers get it, and which PyTorch the stages take that have a choice."""
    gpus = gpu.here()
    advice = "" if gpus.exists else ". Not needed: every stage runs on the CPU"
    yield GOOD if gpus.cards else MISSING, "GPU", f"{gpus}{advice}"
    in_docker = gpus.cards and docker.trouble() is None
    if in_docker and (way := devices.way(docker.info())):
        yield GOOD, "GPU in Docker", "by NVIDIA's runtime" if way == "runtime" else "by a CDI specification"
    elif in_docker:
        yield MISSING, "GPU in Docker", f"Docker has no way to it: {devices.ADVICE}. ENGINE=local needs none"
    stages = [stage for stage in STAGES if len(kinds.of(stage)) > 1]
    chosen = kind.choose(stages[0])
    fits, which = chosen.name != kinds.CPU or not gpus.exists, f"{', '.join(stages[:-1])} and {stages[-1]}"
    yield GOOD if fits else MISSING, "PyTorch", f"{str(chosen).removeprefix('PyTorch ')}, in {which}"


def _memory() -> Rows:
    limit, total = host.memory_limit(), host.machine_memory()
    text = f"{host.size(limit)} for this process"
    text += f" (cgroup limit; the machine has {host.size(total)})" if limit < total else ""
    enough = limit >= NEEDED_MEMORY
    advice = "" if enough else f". Training wants {host.size(NEEDED_MEMORY)}"
    yield GOOD if enough else MISSING, "memory", text + advice
    yield GOOD, "cores", str(cores())


def _disk() -> Rows:
    data = Path(os.environ.get("DATA") or ROOT / "data").absolute()
    free = host.disk_free(data)
    enough = free >= NEEDED_DISK
    advice = "" if enough else f". Free some, or DATA=<a larger disk>: {host.size(NEEDED_DISK)} is comfortable"
    yield GOOD if enough else MISSING, "disk", f"{host.size(free)} free for {data}{advice}"


def _assets() -> Rows:
    listed = assets.manifest().values()
    there = {asset.name for asset in listed if assets.find(asset.name)}
    text = ", ".join(name for name in assets.manifest() if name in there) or "none. Not needed: HEAD_MODEL=open"
    yield GOOD if there else MISSING, "assets", f"{text}. make assets says what each is for, and fetches"
    said: set[str] = set()
    for stage in dict.fromkeys(stage for asset in listed for stage in asset.stages):
        missing = [asset.name for asset in listed if stage in asset.stages and asset.name not in there]
        if not said.issuperset(missing):  # what is said of `track` needs not be said of `train`
            said |= set(missing)
            yield MISSING, f"for {stage}", f"not there: {', '.join(missing)}"
