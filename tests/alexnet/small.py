"""A narrow network on small images, for the tests of alexnet; imported by workers too."""

from __future__ import annotations

import functools

import numpy as np

from jobs.alexnet.demo.images import CLASS_NAMES, demo_images
from jobs.alexnet.images import decode_all
from jobs.alexnet.network import create_model

CLASSES, SOURCE, CROP = 5, 72, 64
NAMES = CLASS_NAMES[:CLASSES]
narrow = functools.partial(create_model, CLASSES, 0.125, CROP, SOURCE)
"""The factory, with its arguments bound as the job binds them."""


def images(count: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return (count, 72, 72, 3) uint8 and the labels of generated images."""
    items = list(demo_images(count, CLASSES, start=start))
    out = np.empty((count, SOURCE, SOURCE, 3), np.uint8)
    decoded = decode_all(((item.name, item.data) for item in items), out)
    assert not decoded.bad
    return decoded.images, np.array([item.label for item in items])
