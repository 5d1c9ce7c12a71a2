"""The builds of PyTorch that a stage's environment comes in: for the CPU, for CUDA 12, for CUDA 13; a lock for each.

Which of them a host takes is the engine's business (engine/kind.py). A result of one kind is up to date on a host of
another: who trained on a GPU looks at the avatar on a laptop. Only where TORCH= names a kind must it be of that one.
"""

import os
from pathlib import Path

from avatarmake import ROOT
from avatarmake.errors import Exit, StageError

CPU = "cpu"
KINDS = (CPU, "cuda12", "cuda13")
VARIABLE = "AVATARMAKE_KIND"  # what the engine tells the stage that it runs in


def lock_file(stage: str, kind: str = CPU) -> Path:
    return ROOT / "docker" / stage / f"requirements{'' if kind == CPU else '.' + kind}.lock"


def of(stage: str) -> tuple[str, ...]:
    """The kinds that a stage has a lock for; in an image there is one."""
    return tuple(kind for kind in KINDS if lock_file(stage, kind).exists())


def asked() -> str | None:
    """What TORCH= names, or None. Raises StageError for what is no kind."""
    kind = os.environ.get("TORCH") or None
    if kind not in (None, *KINDS):
        raise StageError(f"there is no PyTorch '{kind}'", next=f"TORCH is one of {', '.join(KINDS)}", exit=Exit.USAGE)
    return kind


def current(stage: str) -> str:
    """The kind that a result made by this process is of: as the engine says, else as TORCH= does, else for the CPU."""
    kind, there = os.environ.get(VARIABLE) or asked() or CPU, of(stage)
    return kind if kind in there or not there else there[0]
