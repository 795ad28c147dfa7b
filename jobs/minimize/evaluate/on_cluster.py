"""What evaluators on a Dask cluster share: their arguments, waiting for the client's event loop, and timings."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from distributed import Client

from jobs.cluster.bits import Bits
from jobs.cluster.polling import run_polling
from jobs.errors import argument
from jobs.minimize.evaluate.check import Finding, FindingFields
from jobs.minimize.evaluate.evaluator import Timings
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Blocks, Vector
from jobs.usercode import UserCode

T = TypeVar("T")


class ClusterEvaluator(ABC):
    """An evaluator that sums on the workers of a Dask cluster; its coroutines run on the client's event loop.

    Args:
        client: a synchronous client.
        source: makes the problem on each worker.
        expected: what the driver's problem is, as each worker's must be.
        blocks: how the rows are cut.
        on_nan: 'fail' or 'inf'.
        workers_timeout: seconds to wait while there is no worker at all.
        timeout: seconds that one evaluation may take.
        poll: called at least twice per second while an evaluation runs; what it raises ends the evaluation.
        bits: the arithmetic of the run's other processes, to which the workers' is added.

    Raises:
        InputError, UserCodeError: a worker cannot make the problem, or makes another one.
        ClusterError: there is no worker.
    """

    def __init__(
        self,
        client: Client,
        source: UserCode,
        expected: Expected,
        blocks: Blocks,
        on_nan: OnNan = "fail",
        *,
        workers_timeout: float = 300.0,
        timeout: float = 3600.0,
        poll: Callable[[], None] = lambda: None,
        bits: Bits | None = None,
    ) -> None:
        self._bits = bits or Bits()
        self._client, self._blocks = client, blocks
        self._timeout, self._poll = timeout, poll
        self.timings = Timings()
        self._set_up(source, expected, on_nan, workers_timeout)
        try:
            self._run(self._admit())
        except BaseException:
            self.close()
            raise

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many workers take part."""

    def __call__(self, request: Request) -> Vector:
        """Return the sum, (request.size,) float64; workers may come and go meanwhile.

        Raises:
            UserCodeError, DataError: what a block raised.
            ClusterError: no workers in time, too many lost, or the evaluation's time is over.
        """
        began = time.perf_counter()
        total = self._run(self._sum(request))
        self.timings.evaluations += 1
        self.timings.seconds += time.perf_counter() - began
        return total

    def check(self, start: Vector) -> list[Finding]:
        """Return what one worker finds of the problem's contract on some rows, near the start (n,).

        Raises:
            ClusterError: no workers in time.
        """
        return [Finding(*one) for one in self._run(self._check(start))]

    @abstractmethod
    async def _check(self, start: Vector) -> Sequence[FindingFields]:
        """Return the findings' fields."""

    @abstractmethod
    def close(self) -> None:
        """Release the workers' data; a cluster that is gone already is not an error."""

    @abstractmethod
    def _set_up(self, source: UserCode, expected: Expected, on_nan: OnNan, workers_timeout: float) -> None:
        """Create what the evaluator has on the driver, so that `close` can be called; the arguments are the class's."""

    @abstractmethod
    async def _admit(self) -> object:
        """Wait until workers have the problem."""

    @abstractmethod
    async def _sum(self, request: Request) -> Vector:
        """Return the sum."""

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the client's event loop, calling `poll` while it lasts."""
        overdue = f"an evaluation took longer than {self._timeout:g} s ({argument('evaluation_timeout')})"
        return run_polling(self._client, work, self._poll, timeout=self._timeout, overdue=overdue)
