"""Loading and shuffling in this process, without a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.group.loading import Progress
from jobs.alexnet.partitions.held import HELD, Held
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.partitions.store import Partition, Store, exchange


class SerialLoading:
    """Keeps partitions of images in this process, as `Loading` does on workers.

    Args:
        key: of what is held.
        source: makes images.
        labels: class of each image by number, int32.
        memory: bytes of images that are kept in memory.
        layout: the partitions, of which no image is known to be bad.
        poll: called after each partition; what it raises ends the loading.

    Attributes:
        layout: with the bad images, once they are loaded.
        bad: image -> why it cannot be used.
    """

    def __init__(
        self,
        key: str,
        source: Source,
        labels: NDArray[np.int32],
        memory: float,
        layout: Layout,
        *,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        self._key, self._poll, self.layout = key, poll, layout
        source.reader.begin(tempfile.gettempdir())
        self._held = HELD[key] = Held(Store(source.side, memory), source, labels)
        self.bad: dict[int, str] = {}

    def load(self, progress: Progress) -> None:
        """Load all partitions.

        Raises:
            InputError, DataError: the files cannot be used.
            ClusterError: the storage cannot be reached.
        """
        count = len(self.layout.ends)
        for number in range(count):
            self._poll()
            self.bad |= dict(self._held.load(self.layout, number))
            progress("partitions loaded", number + 1, count)
        self.layout = replace(self.layout, bad=tuple(sorted({*self.layout.bad, *self.bad})))

    def shuffle(self, rounds: int, progress: Progress) -> None:
        """Exchange images between partitions for so many rounds."""
        for number in range(rounds):
            for first, second, rows, others in self.layout.swaps(number):
                self._poll()
                exchange(self._partition(first), rows, self._partition(second), others)
            progress("rounds of the shuffle", number + 1, rounds)

    def _partition(self, number: int) -> Partition:
        found = self._held.store.get(number)
        assert found is not None
        return found

    def close(self) -> None:
        """Free all."""
        del HELD[self._key]
        self._held.close()
