"""Lets torch.load with weights_only=True (the default since torch 2.6) read the numpy arrays of .frame files.

Only what plain arrays of numbers need is allowed, by the names that numpy 1 and numpy 2 write it under. Before torch
2.6 there is nothing to allow: torch.load reads everything.
"""

import numpy as np
import torch

NUMBERS = ("float32", "float64", "int32", "int64")

if tuple(int(n) for n in torch.__version__.split(".")[:2]) >= (2, 6):
    reconstruct = np.zeros(0).__reduce__()[0]  # the function that an array's pickle names
    names = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
    allowed = [np.ndarray, np.dtype, *((reconstruct, name) for name in names)]
    torch.serialization.add_safe_globals(allowed + [type(np.dtype(number)) for number in NUMBERS])
