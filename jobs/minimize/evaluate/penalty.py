"""The penalty that a line search gets where the loss is infinite, so that it backs off.

L-BFGS-B and TNC fit cubics through losses and slopes, and fail on infinity. At such a point theta they get the values
of a parabola along d = theta - best, where best is the best point so far: it has the loss and the slope m of that
point, and its minimum a tenth of the way; hence loss + 4 |m|, and a gradient along d whose slope is 9 |m|.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def penalty(theta: Vector, best: Vector, packed: Vector) -> Vector:
    """Return a finite loss and gradient, (1 + n,), for a theta (n,) whose loss is infinite.

    Args:
        theta: the point.
        best: the best point so far, (n,).
        packed: its loss and gradient, (1 + n,).
    """
    step = theta - best
    # At least a rounding error of the loss: with slope 0, theta would look as good as the best point.
    slope = max(abs(float(packed[1:] @ step)), np.finfo(np.float64).eps * (1 + abs(float(packed[0]))))
    value = np.empty_like(packed)
    value[0] = packed[0] + 4 * slope
    value[1:] = step * (9 * slope / max(float(step @ step), np.finfo(np.float64).tiny))
    return value
