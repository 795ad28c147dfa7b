"""Where each image lies: the partitions as they are loaded, and after each round of the shuffle."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.shuffle import plan

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Partitions of numbered images.

    Attributes:
        ends: the image after the last one of each partition as it is loaded; the first begins with image 0.
        bad: images that cannot be used, in ascending order.
        seed: of the shuffle.
    """

    ends: tuple[int, ...]
    bad: tuple[int, ...] = ()
    seed: int = 0

    def without(self, bad: Iterable[int]) -> Layout:
        """Return the layout without other images that cannot be used."""
        return replace(self, bad=tuple(sorted({*self.bad, *bad})))

    def loaded(self, partition: int) -> Numbers:
        """Return the images of a partition as it is loaded."""
        low, high = (self.ends[partition - 1] if partition else 0), self.ends[partition]
        return np.setdiff1d(np.arange(low, high, dtype=np.int64), self.bad, assume_unique=True)

    @property
    def counts(self) -> tuple[int, ...]:
        """Images of each partition, the same before and after the shuffle."""
        edges = np.array([0, *self.ends])
        return tuple((np.diff(edges) - np.diff(np.searchsorted(self.bad, edges))).tolist())

    def swaps(self, number: int) -> list[plan.Swap]:
        """Return the exchanges of a round of the shuffle."""
        return plan.swaps(self.seed, number, self.counts)

    def after(self, rounds: int) -> tuple[Numbers, ...]:
        """Return the images of each partition, in order of rows, after so many rounds of the shuffle."""
        return _after(self, rounds)


@functools.lru_cache(maxsize=2)
def _after(layout: Layout, rounds: int) -> tuple[Numbers, ...]:
    kept = np.concatenate([layout.loaded(one) for one in range(len(layout.ends))] or [np.zeros(0, np.int64)])
    return tuple(kept[places] for places in plan.content(layout.seed, layout.counts, rounds))
