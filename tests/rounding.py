"""How far apart two right results may lie, from the arithmetic alone: no processor's own result is the measure."""

import numpy as np


def rounding(terms: int, dtype=np.float32) -> float:
    """The bound on the difference of two computations of one sum of so many terms, relative to the sum's size.

    Each of n operations rounds by up to u = eps / 2, in whatever order they come and whether or not a product is fused
    with its sum. Together that is at most k sqrt(n) u, but for a chance of 2 exp(-k^2 / 2) (Higham and Mary, SIAM
    Journal on Scientific Computing 41, 2019); k = 6 leaves 3e-8. Both results may be off: twice that, 6 sqrt(n) eps.
    """
    return 6 * np.sqrt(terms) * np.finfo(dtype).eps
