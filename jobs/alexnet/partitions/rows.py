"""Shuffled images as rows, read where they are: from this process's store, or made again from their files."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.partitions.held import HELD, Held
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.store import Pixels
from jobs.errors import ClusterError

HELD_SECONDS = 60.0
"""How long a process may have no images: while their plugin is registered again, say."""


@dataclass(frozen=True)
class ImageRows:
    """A `RowSource` of images, in the order of partitions after the shuffle.

    Attributes:
        key: of what each process holds.
        layout: the partitions.
        rounds: of the shuffle.
        identity: what identifies the images and their order.
    """

    key: str
    layout: Layout
    rounds: int
    identity: str

    @property
    def rows(self) -> int:
        """Number of images."""
        return sum(self.layout.counts)

    def fingerprint(self) -> str:
        """Return the identity of the data."""
        return self.identity

    def read(self, start: int, stop: int) -> tuple[Pixels, NDArray[np.int32]]:
        """Return images start .. stop - 1: x (n, side, side, 3) uint8 and y (n,) int32.

        Raises:
            InputError, DataError: a file has changed, or is damaged.
            ClusterError: the storage cannot be reached.
        """
        held, begin = self._held(), 0
        found = []
        for number, wanted in enumerate(self.layout.after(self.rounds)):
            low, high = max(start - begin, 0), min(stop - begin, len(wanted))
            if low < high:
                found.append((held.rows(number, wanted, low, high), held.labels[wanted[low:high]]))
            begin += len(wanted)
        if len(found) == 1:  # a view: what lies in one partition takes no memory twice
            return found[0]
        return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])

    def _held(self) -> Held:
        deadline = time.monotonic() + HELD_SECONDS
        while (held := HELD.get(self.key)) is None:
            if time.monotonic() > deadline:
                raise ClusterError("the plugin that keeps images is not on this worker; give the same command again")
            time.sleep(0.1)
        return held
