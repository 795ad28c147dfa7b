"""What sums a request over all blocks, what that cost, and the serial one, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.evaluate.shard import Shard
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Blocks, Vector
from jobs.usercode import UserCode


@dataclass
class Timings:
    """What evaluations cost so far; seconds and bytes. The slowest worker counts for an evaluation."""

    evaluations: int = 0
    seconds: float = 0.0
    compute: float = 0.0
    load: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    losses: int = 0


class Evaluator(Protocol):
    """Something that sums requests over all blocks of one problem."""

    timings: Timings

    @property
    def workers(self) -> int:
        """How many workers take part; 0 for this process alone."""

    def __call__(self, request: Request) -> Vector:
        """Return the sum, (request.size,) float64."""

    def close(self) -> None:
        """Let the data go."""


class SerialEvaluator:
    """Sums in this process, on one thread: the same blocks, the same tree, the same bits as on any cluster."""

    workers = 0

    def __init__(
        self,
        source: UserCode,
        expected: Expected,
        blocks: Blocks,
        on_nan: OnNan,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        """`poll` is called before each evaluation; what it raises ends it."""
        self._poll = poll
        self._shard = Shard(source, expected, 1, on_nan, "this process")
        self._all = ((0, len(blocks)),)
        self.timings = Timings()

    def __call__(self, request: Request) -> Vector:
        """Return the sum, (request.size,) float64."""
        self._poll()
        began, loaded = time.perf_counter(), self._shard.load_seconds
        total = self._shard.sum(request, self._all, self._all).total()
        seconds, load = time.perf_counter() - began, self._shard.load_seconds - loaded
        self.timings.evaluations += 1
        self.timings.seconds += seconds
        self.timings.load += load
        self.timings.compute += seconds - load
        return total

    def close(self) -> None:
        """Let the data go."""
        self._shard.close()
