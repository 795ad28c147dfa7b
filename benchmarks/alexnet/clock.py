"""Seconds, and CPU seconds, which other programs of the machine disturb less."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from distributed import Client


@dataclass
class Spent:
    """What something took.

    Attributes:
        seconds: by the clock.
        cpu: seconds of CPU of this process, the driver's and the scheduler's, and of all workers.
    """

    seconds: float = 0.0
    cpu: float = 0.0


@contextlib.contextmanager
def clock(*clients: Client) -> Iterator[Spent]:
    """Yield what is filled in at the end with what the block took here and on the workers of clusters."""
    before, found, began = _cpu(clients), Spent(), time.monotonic()
    yield found
    found.seconds = time.monotonic() - began
    found.cpu = _cpu(clients) - before


def _cpu(clients: tuple[Client, ...]) -> float:
    return time.process_time() + sum(sum(client.run(time.process_time).values()) for client in clients)
