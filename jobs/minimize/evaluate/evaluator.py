"""What sums a request over all blocks, its timings, and the serial evaluator, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jobs.minimize.evaluate.check import Finding
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.evaluate.shard import Shard
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Blocks, Vector
from jobs.usercode import UserCode


@dataclass
class Timings:
    """Totals over all evaluations, in seconds and bytes; the slowest worker counts for an evaluation.

    Attributes:
        evaluations: how many.
        seconds: from request to sum.
        compute: of `seconds`, summing.
        load: of `seconds`, loading.
        bytes_sent: of requests.
        bytes_received: of answers.
        lost_workers: how many workers were lost.
    """

    evaluations: int = 0
    seconds: float = 0.0
    compute: float = 0.0
    load: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    lost_workers: int = 0


class Evaluator(Protocol):
    """Sums requests over all blocks of one problem."""

    timings: Timings

    @property
    def workers(self) -> int:
        """How many workers take part; 0 for this process alone."""

    def __call__(self, request: Request) -> Vector:
        """Return the sum, (request.size,) float64."""

    def check(self, start: Vector) -> list[Finding]:
        """Return what is found of the problem's contract on some rows, near the start (n,); see `evaluate.check`."""

    def close(self) -> None:
        """Release the data."""


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

    def check(self, start: Vector) -> list[Finding]:
        """Return what is found of the problem's contract on some rows."""
        return self._shard.check(start)

    def close(self) -> None:
        """Release the data."""
        self._shard.close()
