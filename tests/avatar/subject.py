"""A subject whose avatar has trained for a moment, drawn in seconds: dataset/ and avatar/, with their receipts."""

import json
from pathlib import Path

import torch

from stages.train.avatar import fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from tests.train import subject as small

BODY = 0.5  # seconds that its body is behind its head


def trained(root: Path, frames: int = 24, size: int = 64, steps: int = 40) -> Trainer:
    dataset = Dataset(*small.write(root, frames, size=size, gaussians=2000, body_seconds=BODY))
    dataset.hold_body(BODY)
    parts = split(len(dataset))
    schedule = Schedule(steps, size, 0.5, 0)
    trainer = Trainer(fresh(dataset, parts.train, 1500, 0, choose("cpu"), BODY), dataset, parts, schedule, 40)
    for _ in range(steps):
        trainer.step()
    (root / "avatar").mkdir()
    state = trainer.state()
    del state["optimiser"]
    torch.save(state, root / "avatar" / "checkpoint.pt")
    small.refined(root)
    for name in ("dataset", "masks", "avatar"):
        finish(root / name)
    return trainer


def finish(directory: Path, digest: str = "") -> None:
    """A receipt as the contract asks for one."""
    (directory / "stage.json").write_text(json.dumps({"outputs": {"digest": digest or directory.name}}))
