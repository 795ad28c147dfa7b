"""Loading and shuffling in this process, without a cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from jobs.alexnet.group.loading import Progress
from jobs.alexnet.partitions.held import Images
from jobs.alexnet.partitions.layout import Layout
from jobs.alexnet.partitions.store import Partition, exchange


class SerialLoading:
    """Keeps partitions of images in this process, as `Loading` does on workers.

    Args:
        images: what it needs.
        layout: the partitions, of which no image is known to be unreadable.
        poll: called after each partition; what it raises ends the loading.

    Attributes:
        layout: without the unreadable images, once they are loaded.
        bad: image -> why it cannot be used.
    """

    def __init__(self, images: Images, layout: Layout, *, poll: Callable[[], None] = lambda: None) -> None:
        self._images, self._poll, self.layout = images, poll, layout
        self._held = images.hold(tempfile.gettempdir())
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
        self.layout = self.layout.without(self.bad)

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
        self._images.free(self._held)
