"""metrics.json: every figure a script or a reader may want to compare, gathered from what the stages left.

Of the result only: what it cost is the runs', and stands in their stage.json.
"""

from stages.report.subject import Finished

STAGES = {  # make target -> directory
    "demo": "source",
    "frames": "frames",
    "track": "tracking",
    "convert": "dataset",
    "mask": "masks",
    "refine": "refined",
    "train": "avatar",
    "view": "view",
}


def gather(done: Finished, truth: dict | None, silhouettes: dict | None) -> dict:
    """JSON-able. `truth`, `silhouettes`: what their compare() found, None for a subject without truth."""
    stamps = {stage: stamp for stage, d in STAGES.items() if (stamp := done.stamp(d))}
    tracking = stamps["track"].get("facts", {})
    converted = stamps["convert"].get("facts", {})
    refined = stamps["refine"].get("facts", {})
    evaluation = done.evaluation
    return {
        "subject": done.name,
        "frames": {
            "source": done.crop["source"]["frames"],
            "used": len(done.crop["source_frames"]),
            "tracked": len(done.index["images"]),
            "fps": done.index["fps"],
        },
        "doubts": {name: len(numbers) for name, numbers in doubts(done).items()},
        "tracking": {
            **{k: tracking.get(k) for k in ("landmark_error_px", "landmark_error_pct")},
            "jitter_px": tracking.get("jitter_px", converted.get("jitter_px")),
            "jitter_px_raw": tracking.get("jitter_px_raw"),
            "focal_px": done.index["focal"],
            "head_model": done.index["head_model"],
            "truth": truth,
        },
        "convert": {k: converted.get(k) for k in ("reprojection_px_max", "reprojection_px_mean", "jitter_px")},
        "masks": {**stamps["mask"].get("facts", {}), "truth": silhouettes},
        "refine": {k: refined.get(k) for k in ("turned_degrees", "moved_px", "jitter_px")},
        "avatar": {
            **{k: evaluation.get(k) for k in ("resolution", "gaussians", "iterations", "trainer")},
            **{name: _split(split) for name, split in evaluation["splits"].items()},
        },
    }


def doubts(done: Finished) -> dict[str, list[int]]:
    """Pictures of frames/, counted from 0, that count less in training or not at all, by the reason."""
    found = {name: done.tracker.get(name, []) for name in ("covered", "blurred")}
    return found | {name: done.crop.get(name, []) for name in ("repeats", "black")}


def _split(split: dict) -> dict:
    """A split's figures, as tracked and, for some of its frames, as fitted; a number of frames stands for the lists."""
    figures = {k: len(v) if k == "frames" else v for k, v in split.items() if k not in ("per_frame", "fit")}
    return figures | ({"fit": _split(split["fit"])} if "fit" in split else {})
