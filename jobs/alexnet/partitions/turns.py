"""Which changes of a process's partitions may still be made: those of the latest turn."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

LAST = 1 << 62
"""The turn of reading: what has been read is never exchanged again."""


class Turns:
    """Orders the changes of partitions by turns: the driver's requests have numbers that grow; used by many threads.

    A worker that was taken for lost may still be at work on an earlier request, and what it sends arrive at any moment.
    """

    def __init__(self) -> None:
        self._latest = 0
        self._changes: Counter[int] = Counter()
        self._state = threading.Condition()

    @contextlib.contextmanager
    def of(self, turn: int) -> Iterator[None]:
        """Enclose a change: those of earlier turns that have begun end before it, and no other begins after it.

        Raises:
            OSError: a later turn has begun.
        """
        with self._state:
            self._latest = max(self._latest, turn)
            self._state.notify_all()  # who waits with an earlier turn is refused now, not when its turn would come
            # Of one turn several run beside each other: each partition is in one pair of a round.
            self._state.wait_for(lambda: turn < self._latest or self._changes.total() == self._changes[turn])
            if turn < self._latest:
                raise OSError(f"turn {turn} of the exchange of images is over")
            self._changes[turn] += 1
        try:
            yield
        finally:
            with self._state:
                self._changes[turn] -= 1
                self._state.notify_all()
