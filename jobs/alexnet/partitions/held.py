"""What a process holds of a run: its images, what makes others, and their classes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.source import Source
from jobs.alexnet.partitions.store import Partition, Pixels, Store
from jobs.alexnet.partitions.turns import LAST, Turns


@dataclass(frozen=True)
class Held:
    """One process's share of a run's images.

    Attributes:
        store: images that are here.
        source: makes others.
        labels: class of each image by number, int32.
        threads: that decode.
        turns: which requests may change partitions.
    """

    store: Store
    source: Source
    labels: NDArray[np.int32]
    threads: int = 1
    turns: Turns = field(default_factory=Turns)
    _making: threading.Lock = field(default_factory=threading.Lock)

    def rows(self, number: int, wanted: NDArray[np.int64], low: int, high: int) -> Pixels:
        """Return rows low .. high - 1 of a partition with wanted images; those that are not there are made.

        From then on no partition of this process is exchanged any more.

        Raises:
            InputError, DataError: a file has changed, or is damaged.
            ClusterError: the storage cannot be reached.
        """
        # A row that is being read must not be traded away under the reader, by a request that comes late.
        with self.turns.of(LAST):
            return self._rows(number, wanted, low, high)

    def _rows(self, number: int, wanted: NDArray[np.int64], low: int, high: int) -> Pixels:
        held = self.store.get(number)
        if held is None or len(held.numbers) != len(wanted) or np.any(held.numbers[low:high] != wanted[low:high]):
            with self._making:
                # Again, now that no other thread makes it: two workers' parts may need one partition at once.
                held = self.store.get(number)
                if held is None or len(held.numbers) != len(wanted):
                    held = self.store.make(number, len(wanted))
                self.source.remake(
                    Partition(held.images[low:high], held.numbers[low:high]), wanted[low:high], self.threads
                )
        return held.images[low:high]

    def load(self, layout: Layout, number: int, turn: int = 0) -> list[tuple[int, str]]:
        """Load a partition, and return (image, reason) of each that cannot be used.

        Raises:
            InputError, DataError: a file has changed, or is damaged.
            ClusterError: the storage cannot be reached.
            OSError: a later turn has begun.
        """
        with self.turns.of(turn):
            return self._load(layout, number)

    def _load(self, layout: Layout, number: int) -> list[tuple[int, str]]:
        wanted = layout.loaded(number)
        room = self.store.make(number, len(wanted))
        if bad := self.source.fill(room, wanted, self.threads):
            # Closed up: from here on a partition has as many rows as the layout says, and none is empty.
            good = np.flatnonzero(room.numbers >= 0)
            images, numbers = room.taken(good)
            self.store.make(number, len(good)).put(np.arange(len(good)), images, numbers)
        return bad

    def settle(self, layout: Layout, rounds: int, partitions: Sequence[int], turn: int) -> None:
        """Make what is missing of partitions, as they are after so many rounds of the shuffle; free all others.

        Raises:
            InputError, DataError: a file has changed, or is damaged.
            ClusterError: the storage cannot be reached.
            OSError: a later turn has begun.
        """
        with self.turns.of(turn):
            for other in set(self.store.numbers()) - set(partitions):
                self.store.drop(other)
            for number in partitions:
                wanted = layout.after(rounds)[number]
                self._rows(number, wanted, 0, len(wanted))

    def close(self) -> None:
        """Free all."""
        self.store.close()
        self.source.reader.close()


HELD: dict[str, Held] = {}
"""By key of the run: data that were sent to a process find there what they are made of."""


@dataclass(frozen=True)
class Images:
    """What a process needs to hold images; small beside them.

    Attributes:
        key: of what is held.
        source: makes images.
        labels: class of each image by number, int32; -1: it is left out.
        memory: bytes of images that are kept in memory; those beyond lie in files.
    """

    key: str
    source: Source
    labels: NDArray[np.int32]
    memory: float

    def hold(self, scratch: str, threads: int = 1) -> Held:
        """Begin to hold images in this process, with a folder for files, decoded by so many threads."""
        self.source.reader.begin(scratch)
        held = HELD[self.key] = Held(Store(self.source.side, self.memory, scratch), self.source, self.labels, threads)
        return held

    def free(self, held: Held) -> None:
        """Free what `hold` has returned."""
        # Not what was held since: a plugin that was registered again is set up before the old one goes.
        if HELD.get(self.key) is held:
            del HELD[self.key]
        held.close()
