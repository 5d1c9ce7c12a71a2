"""On what the small demo is run here, and running it: the host command itself, a process a stage, as make does."""

import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from avatarmake import ROOT, gpu
from avatarmake.contract.kinds import CPU
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.publication import receipt
from avatarmake.engine import docker, kind

STAGES = ("demo", "frames", "track", "convert", "mask", "refine", "train", "view", "report")
DIRECTORIES = {stage: directory for directory, stage in WRITER.items()}


@dataclass(frozen=True)
class Run:
    engine: str  # docker or local
    kind: str  # of PyTorch, for the stage that has a choice

    @property
    def device(self) -> str:
        return "cpu" if self.kind == CPU else "cuda"

    @property
    def name(self) -> str:
        return f"{self.engine}-{self.kind}"

    def subject(self, data: Path) -> Subject:
        """A subject of its own, also on a volume that other hosts verify on: another's result would prove nothing."""
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", platform.node())[:32] or "host"
        return Subject(data, f"verify-{host}-{self.name}")


@dataclass(frozen=True)
class Finished:
    """What the stages of a run say of themselves; `fault`: the line with which one of them stopped."""

    run: Run
    subject: Subject
    fault: str = ""

    def seconds(self) -> dict[str, float]:
        return {stage: stamp["seconds"] for stage, stamp in self.receipts().items()}

    def receipts(self) -> dict[str, dict]:
        found = {stage: receipt(self.subject.directory(DIRECTORIES[stage])) for stage in STAGES}
        return {stage: stamp for stage, stamp in found.items() if stamp}


def possible() -> tuple[list[Run], list[str]]:
    """The runs that this host can do, and a line for each that it cannot. ENGINE= and DEVICE= leave out others."""
    engine, device = os.environ.get("ENGINE") or "auto", os.environ.get("DEVICE") or "auto"
    runs, lines = [], []
    for name, daemon in (("local", None), ("docker", docker.info)):
        if engine not in ("auto", name):
            continue
        trouble = docker.trouble() if name == "docker" else None
        if trouble:
            lines.append(f"docker: {trouble}")
            continue
        chosen = kind.choose("train", daemon=daemon)
        both = [Run(name, one) for one in dict.fromkeys((CPU, chosen.name))]
        here = [run for run in both if device in ("auto", run.device)]
        if chosen.name == CPU and gpu.here().exists:
            lines.append(f"{name}, cuda: {chosen.why}")
        stale = {run: _stale(run) for run in here if name == "docker"}
        lines += [f"{run.name}: no images of these sources: {', '.join(what)}" for run, what in stale.items() if what]
        runs += [run for run in here if not stale.get(run)]
    return runs, lines


def _stale(run: Run) -> list[str]:
    return [stage for stage in STAGES if not docker.is_current(stage, run.kind if stage == "train" else CPU)]


def do(run: Run, data: Path, options: dict[str, list[str]]) -> Finished:
    """Run every stage unless it is done, with what it says shown. A stage that fails ends the run."""
    subject, variables = run.subject(data), _variables(run)
    for stage in STAGES:
        device = [f"--device={run.device}"] if stage == "train" else []
        words = [stage, subject.name, f"--data={data}", *options.get(stage, []), *device]
        done = subprocess.Popen(
            [sys.executable, "-m", "avatarmake", "run", *words],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        said = []
        for line in done.stdout:
            said = [*said[-4:], line.strip()]
            print(f"  {line.rstrip()}", flush=True)
        if code := done.wait():
            return Finished(run, subject, f"{stage} ended with {code}: {next(filter(None, said[::-1]), '')}")
    return Finished(run, subject)


def _variables(run: Run) -> dict[str, str]:
    """The environment of a run: nothing of it is left to what happens to be set, but how packages are reached."""
    chosen = {"ENGINE": run.engine, "TORCH": run.kind}
    left_out = ("TRACKER", "HEAD_MODEL", "DEVICE", "ID", "VIDEO", "OPTIONS")
    return {name: value for name, value in os.environ.items() if name not in left_out} | chosen


def same_bytes(finished: list[Finished]) -> str:
    """Whether runs on the CPU in different engines made the same avatar, in words; nothing where there is one only.

    Pages and reports have their subject's name in them.
    """
    cpu = [one for one in finished if one.run.kind == CPU and not one.fault]
    if len(cpu) < 2:
        return ""
    first, other = (one.receipts() for one in cpu[:2])
    for stage in STAGES[: STAGES.index("train") + 1]:
        if first[stage]["outputs"]["digest"] != other[stage]["outputs"]["digest"]:
            return f"{cpu[0].run.name} and {cpu[1].run.name} write different bytes, from {stage} on"
    return f"{cpu[0].run.name} and {cpu[1].run.name} write the same bytes"


