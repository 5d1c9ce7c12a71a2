"""Expressions by name: what becomes a .ply."""

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.errors import Exit, StageError
from avatarmake.head_model.bases import NAMED

AMOUNT = 1.5  # standard deviations of a named expression
OTHERS = {  # group, columns, value: radians, or the way to closed
    "jaw_open": (1, (0,), 0.2),
    "blink": (3, (0, 1), 1.0),
    "wink_left": (3, (0,), 1.0),
    "wink_right": (3, (1,), 1.0),
    "look_left": (2, (1, 4), 0.35),
    "look_right": (2, (1, 4), -0.35),
    "look_up": (2, (0, 3), -0.25),
    "look_down": (2, (0, 3), 0.25),
}


def known(head_model: str) -> list[str]:
    return ["neutral", *OTHERS, *(NAMED if head_model == "open" else ())]


def chosen(words: str, head_model: str) -> dict[str, Parameters]:
    """`neutral,smile` or `all` -> name -> parameters. Raises StageError for one that there is not."""
    names = known(head_model) if words == "all" else [word.strip() for word in words.split(",") if word.strip()]
    if wrong := [name for name in names if name not in known(head_model)]:
        what = f"there is no expression '{wrong[0]}' of the head model '{head_model}'"
        raise StageError(what, next=f"Give some of {', '.join(known(head_model))}; or all", exit=Exit.USAGE)
    return {name: parameters(name) for name in names}


def parameters(name: str) -> Parameters:
    p = Parameters(*(np.array(x) for x in Parameters.neutral()))
    if name in OTHERS:
        group, columns, value = OTHERS[name]
        p[group][list(columns)] = value
    elif name in NAMED:
        p.expression[list(NAMED).index(name)] = AMOUNT
    return p
