"""report: what came out, for eyes (index.html, test.mp4) and for scripts (metrics.json)."""

from dataclasses import dataclass, replace
from pathlib import Path

from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class ReportConfig:
    truth: Path | None = option(
        None, "truth.npz to compare the tracking with; the demo subject has its own", input=True
    )


def with_truth(subject: Subject, config: ReportConfig) -> ReportConfig:
    """The demo subject brings its truth; its content is part of the key, so new truth means a new report."""
    if config.truth is None and subject.truth.exists():
        return replace(config, truth=subject.truth)
    return config


STAGE = Stage(
    name="report",
    summary="Show what came out: a video of unseen frames, figures, and a page to read.",
    reads=("frames", "tracking", "dataset", "masks", "refined", "avatar", "view"),
    writes="report",
    config=ReportConfig,
    resolve=with_truth,
)
