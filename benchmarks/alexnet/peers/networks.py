"""AlexNet as it is measured, whole and narrow, and images for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.network import CLASSES, SOURCE_SIZE, create_model

ROWS = 160
"""Images of an epoch: a whole step of the largest batch."""
PARAMETERS = 61_100_840
WHOLE_MEGABYTES = 4 * PARAMETERS / 1e6
NARROW_CLASSES, NARROW_SIZE, NARROW_SOURCE, NARROW_WIDTH = 10, 64, 74, 0.0625
Rows = tuple[NDArray[np.uint8], NDArray[np.int64]]


def whole() -> Any:
    """Return the network of 61.1 million parameters."""
    return create_model()


def whole_images() -> Rows:
    """Return random images of 256 x 256 pixels, and labels."""
    return _images(SOURCE_SIZE, CLASSES)


def narrow() -> Any:
    """Return a network of a 16th of the width for small images."""
    return create_model(NARROW_CLASSES, NARROW_WIDTH, NARROW_SIZE, NARROW_SOURCE)


def narrow_images() -> Rows:
    """Return random images for it, and labels."""
    return _images(NARROW_SOURCE, NARROW_CLASSES)


def _images(side: int, classes: int) -> Rows:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (ROWS, side, side, 3), np.uint8), random.integers(0, classes, ROWS)
