"""What an avatar can be asked for: what its training saw of each parameter, and somewhat more. The rest is cut.

Beyond it nothing is known of how the face looks: wrinkles, teeth, the inside of the mouth were never shown. The network
stops by itself at the edge of what it saw (avatarmake/avatar/deformation.py); the mesh under it is kept within here.
"""

from typing import NamedTuple

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.performance import Performance
from avatarmake.head_model.bases import NAMED

WIDER = 0.25  # of what was seen, beyond it on either side
LEAST = Parameters(0.5, 0.03, 0.08, 0.1)  # and at least so much: standard deviations, radians, radians, of the way
TOLERATED = 1e-4
NAMED_AT_MOST = 6  # directions that are said


class Bounds(NamedTuple):
    low: Parameters
    high: Parameters

    def cut(self, p: Parameters) -> Parameters:
        """Parameters (F,...) -> within."""
        parts = zip(p, self.low, self.high, strict=True)
        return Parameters(*(np.clip(x, a, b).astype(np.float32) for x, a, b in parts))


def bounds(own: Performance) -> Bounds:
    low, high = [], []
    for x, least in zip((own.expression, own.jaw_pose, own.eye_pose, own.eyelids), LEAST, strict=True):
        a, b = x.min(0), x.max(0)
        margin = np.maximum(WIDER * (b - a), least)
        low.append(a - margin)
        high.append(b + margin)
    low[3], high[3] = np.maximum(low[3], -0.1), np.minimum(np.maximum(high[3], 1.0), 1.1)  # an eye can always close
    return Bounds(Parameters(*low), Parameters(*high))


def outside(asked: Parameters, cut: Parameters, head_model: str) -> dict:
    """What was cut: the share of frames in which anything was, and of each direction, the most frequent first."""
    shares: dict[str, float] = {}
    frames = np.zeros(len(asked.expression), bool)
    for name, a, b in zip(Parameters._fields, asked, cut, strict=True):
        beyond = a - b
        frames |= (np.abs(beyond) > TOLERATED).any(1)
        for k in range(a.shape[1]):
            for sign, word in ((1, "more"), (-1, "less")):
                if share := float((sign * beyond[:, k] > TOLERATED).mean()):
                    shares[f"{direction(name, k, head_model)}, {word}"] = round(share, 4)
    ordered = dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))
    return {"frames": round(float(frames.mean()), 4), "directions": ordered}


def direction(group: str, k: int, head_model: str) -> str:
    """A parameter by its name: smile, jaw open, left eye down."""
    if group == "expression":
        names = list(NAMED) if head_model == "open" else []
        return names[k] if k < len(names) else f"expression {k}"
    if group == "jaw_pose":
        return ("jaw open", "jaw to the left", "jaw rolled")[k]
    if group == "eye_pose":
        return f"{('left', 'right')[k // 3]} eye {('down', 'to the left', 'rolled')[k % 3]}"
    return f"{('left', 'right')[k]} lid closed"


def said(found: dict) -> str | None:
    """One line for a user, or None."""
    if not found["frames"]:
        return None
    most = list(found["directions"].items())[:NAMED_AT_MOST]
    told = "; ".join(f"{name} in {100 * share:.1f} %" for name, share in most)
    share = f"{100 * found['frames']:.1f} % of the frames"
    return f"{share} ask for more than the avatar's video shows, and get its edge: {told}"
