"""Messages of other workers, as they wait for this worker's step."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple


class Key(NamedTuple):
    """What a message is: which group, which step, which phase of the exchange, from whom."""

    generation: int
    step: int
    phase: str
    source: str


@dataclass(frozen=True)
class Packet:
    """Nodes of the tree over parts, and their vectors or one slice of each.

    Attributes:
        nodes: (level, index) of each vector.
        vectors: as `wire` encodes them.
    """

    nodes: list[tuple[int, int]]
    vectors: list[Any]


class AbortedError(Exception):
    """The group has ended: a member was lost, or another one joins."""


class LateError(Exception):
    """Members did not send in time.

    Args:
        addresses: theirs.
    """

    def __init__(self, addresses: Collection[str]) -> None:
        super().__init__(f"no message from {', '.join(addresses)}")
        self.addresses = sorted(addresses)


class Inbox:
    """Messages by key; `put` is called on the event loop, `take` in the thread that trains."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: dict[Key, Packet] = {}
        self._ended = -1

    def put(self, key: Key, packet: Packet) -> None:
        """Keep a message until it is taken; one of a group that has ended is dropped."""
        with self._changed:
            # Of a later generation too: a peer may begin before the driver's call has reached this worker.
            if key.generation > self._ended:
                self._messages[key] = packet
                self._changed.notify_all()

    def take(self, key: Key, deadline: float) -> Packet:
        """Return a message, waiting for it until a moment of `time.monotonic`.

        Raises:
            AbortedError: its group has ended.
            LateError: it did not come in time.
        """
        with self._changed:
            while key not in self._messages:
                self.check(key.generation)
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    # The sender alone: any other member may be waiting for the same one.
                    raise LateError([key.source])
            return self._messages.pop(key)

    def abort(self, generation: int) -> None:
        """End a group and all before it: who waits for a message of theirs is woken."""
        with self._changed:
            self._ended = max(self._ended, generation)
            self._messages = {key: one for key, one in self._messages.items() if key.generation > self._ended}
            self._changed.notify_all()

    def check(self, generation: int) -> None:
        """Check that a group has not ended.

        Raises:
            AbortedError: it has.
        """
        if generation <= self._ended:  # one number, hence read without the lock too
            raise AbortedError
