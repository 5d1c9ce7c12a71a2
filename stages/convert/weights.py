"""How much each image of the dataset counts in training, from what the stages before doubt about it."""

COVERED = 0.1  # a face behind a hand or a microphone teaches the hand
BLURRED = 0.25


def weights(indices: list[int], crop: dict, tracker: dict) -> list[float]:
    """Tracked images, numbered from 0 -> their weights, 0 to 1. A still stretch counts as often as one image does."""
    doubtful = dict.fromkeys(tracker.get("blurred", []), BLURRED)
    doubtful |= dict.fromkeys(tracker.get("covered", []), COVERED)
    stretch = _stretches(indices, set(crop.get("repeats", [])))
    return [round(doubtful.get(i, 1.0) / stretch[i], 6) for i in indices]


def _stretches(indices: list[int], repeats: set[int]) -> dict[int, int]:
    """Each image -> how many show the same as it; an image in `repeats` shows what the one before it does."""
    starts, start = {}, -1
    for i in range(max(indices, default=-1) + 1):
        start = start if i in repeats and start >= 0 else i
        starts[i] = start
    alike: dict[int, int] = {}
    for i in indices:
        alike[starts[i]] = alike.get(starts[i], 0) + 1
    return {i: alike[starts[i]] for i in indices}
