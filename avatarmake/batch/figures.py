"""A subject's figures in a few words, by its receipts alone."""

from collections.abc import Callable
from dataclasses import dataclass

from avatarmake.batch.standing import Row
from avatarmake.terminal import duration


@dataclass(frozen=True)
class Figures:
    """Empty where a receipt does not say it: the stage has not run, or somebody edited it."""

    frames: str
    landmarks: str  # median distance of the head model's landmarks from those detected, % of the outer eyes' distance
    psnr: str  # dB within the head, on unseen passages and the unseen end
    time: str  # all stages together


def figures(row: Row) -> Figures:
    frames, track, train = (row.stamp(target).get("facts", {}) for target in ("frames", "track", "train"))
    stamps = [s.stamp for s in row.stages if s.stamp]
    return Figures(
        frames=_told(lambda: f"{frames['frames_out']:,}"),
        landmarks=_told(lambda: f"{track['landmark_error_pct']['median']:.2f} %"),
        psnr=_told(lambda: f"{train['blocks']['psnr_head']:.1f}, {train['last']['psnr_head']:.1f} dB"),
        time=_told(lambda: duration(sum(stamp["seconds"] for stamp in stamps))) if stamps else "",
    )


def _told(figure: Callable[[], str]) -> str:
    try:
        return figure()
    except (KeyError, TypeError, ValueError):
        return ""
