"""Factories of batches that make something wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from networks import batches, rows


def growing(part: int, parts: int, epoch: int, seed: int) -> Any:
    """A factory whose second epoch is longer."""
    return batches(part, parts, epoch, seed).take(1 + epoch)


def no_batches(part: int, parts: int, epoch: int, seed: int) -> Any:
    """A factory of no batches."""
    return batches(part, parts, epoch, seed).take(0)


def features_alone(part: int, parts: int, epoch: int, seed: int) -> Any:
    """A factory of batches without labels."""
    return batches(part, parts, epoch, seed).map(lambda x, y: x)


def sometimes_weighted(part: int, parts: int, epoch: int, seed: int) -> Any:
    """Batches as a list; the second has weights."""
    x, y = rows(20)
    return [(x, y), (x, y, np.zeros(20, np.float32))]


def fewer_batches(part: int, parts: int, epoch: int, seed: int) -> Any:
    """A factory that gives fewer batches than it says."""
    return Short(batches(part, parts, epoch, seed))


class Short:
    """Says 9 batches, and has 2."""

    def __init__(self, made: Any) -> None:
        self._made = list(made.take(2))

    def __len__(self) -> int:
        return 9

    def skip(self, count: int) -> Any:
        return iter(self._made[count:])
