"""Shuffled images as rows, read where they are: from this process's store, or made again from their files."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images.layout import Layout
from jobs.alexnet.images.source import Source
from jobs.alexnet.images.store import STORES, Pixels

_making = threading.Lock()


@dataclass(frozen=True)
class ImageRows:
    """A `RowSource` of images, in the order of partitions after the shuffle.

    Attributes:
        key: of the store of each process.
        layout: the partitions.
        rounds: of the shuffle.
        source: makes images that are not in this process's store: those of a worker that was lost.
        labels: class of each image by number, int32.
        identity: what identifies the images and their order.
    """

    key: str
    layout: Layout
    rounds: int
    source: Source
    labels: NDArray[np.int32] = field(repr=False)
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
        found = []
        begin = 0
        for partition, wanted in enumerate(self.layout.after(self.rounds)):
            low, high = max(start - begin, 0), min(stop - begin, len(wanted))
            if low < high:
                found.append((self._images(partition)[low:high], self.labels[wanted[low:high]]))
            begin += len(wanted)
        if len(found) == 1:  # a view: what lies in one partition takes no memory twice
            return found[0]
        images, labels = zip(*found, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _images(self, partition: int) -> Any:
        wanted = self.layout.after(self.rounds)[partition]
        store = STORES[self.key]
        held = store.get(partition)
        if held is None or not np.array_equal(held.numbers, wanted):
            with _making:
                held = store.get(partition) or store.make(partition, len(wanted))
                self.source.remake(held, wanted)
        return held.images
