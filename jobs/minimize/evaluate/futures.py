"""Sums of a request over all blocks as Dask tasks: seen on the dashboard, and by clusters that adapt to their tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import dask
from dask._task_spec import Task, TaskRef
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from distributed import Client

from jobs.errors import ClusterError
from jobs.minimize.evaluate import tasks
from jobs.minimize.evaluate.evaluator import Timings
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.evaluate.shard_futures import STRANDED, Part, ShardFutures, Stranded
from jobs.minimize.problems.base import UserCode
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Blocks, Vector
from jobs.usercode import line

T = TypeVar("T")
SLOW_SECONDS = 1.0
"""Past so many seconds of computing, the next evaluation has a task for each of a worker's futures, instead of one."""
FAN_IN = 8
"""Sums that one task adds; 2 of those that are longer than LARGE_BYTES, so that no worker receives many of them."""
LARGE_BYTES = 1 << 20


class FuturesEvaluator:
    """Sums on the workers of a Dask cluster by tasks, with the bits of `DaskEvaluator`, for some more time each.

    Shards are futures: Dask loads them again elsewhere when their worker is lost, and runs the tasks that need them.
    An evaluation is one graph: theta, a task for each worker, and the tree of tasks that adds their sums.

    Args:
        client: a synchronous client.
        source: makes the problem on each worker.
        expected: what the driver's problem is, as each worker's must be.
        blocks: how the rows are cut.
        on_nan: 'fail' or 'inf'.
        workers_timeout: seconds to wait while there is no worker at all.
        timeout: seconds that one evaluation may take.
        poll: called at least twice a second while an evaluation runs; what it raises ends the evaluation.

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
    ) -> None:
        self._client, self._count = client, len(blocks)
        self._timeout, self._poll = timeout, poll
        unique = uuid.uuid4().hex
        self._key = f"{unique[:8]}-{unique[8:]}"  # Dask calls tasks by what stands before 8 hexadecimal digits
        self._numbers = itertools.count()
        recipe = tasks.Recipe(self._key, source, expected, on_nan)
        self._shards = ShardFutures(client, recipe, len(blocks), workers_timeout)
        self._slow, self._workers = False, 0
        self.timings = Timings()
        try:
            self._run(self._again(self._shards.admit))
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """How many workers take part; those that did in the last evaluation."""
        return self._workers or self._shards.admitted

    def __call__(self, request: Request) -> Vector:
        """Return the sum, (request.size,) float64; workers may come and go meanwhile.

        Raises:
            UserCodeError, DataError: what a block raised.
            ClusterError: no workers in time, too many lost, or the evaluation's time is over.
        """
        began = time.perf_counter()
        total = self._run(self._again(lambda: self._sum(request)))
        self.timings.evaluations += 1
        self.timings.seconds += time.perf_counter() - began
        return total

    def close(self) -> None:
        """Let all futures go, and with them the workers' data; a cluster that is gone already is no error."""
        self._shards.release()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the client's event loop, calling `poll` while it lasts."""
        future = asyncio.run_coroutine_threadsafe(work, self._client.loop.asyncio_loop)
        deadline = time.monotonic() + self._timeout
        try:
            while True:
                self._poll()
                try:
                    return future.result(timeout=0.5)
                except concurrent.futures.TimeoutError:
                    if time.monotonic() > deadline:
                        raise ClusterError(
                            f"an evaluation took longer than {self._timeout:g} s (--evaluation-timeout)"
                        ) from None
        finally:
            future.cancel()

    async def _again(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do work on the cluster, and begin it anew with new futures where they, or all workers, were lost at once.

        Raises:
            ClusterError: that happened again and again, or the scheduler is gone.
        """
        for times in itertools.count():
            try:
                return await work()
            except Stranded as error:
                if times == STRANDED:
                    raise error.args[0] from None
            except concurrent.futures.CancelledError as error:  # Dask's; asyncio's own is another class
                if times == STRANDED:
                    raise ClusterError(f"tasks were cancelled again and again: {line(error)}") from error
            except OSError as error:
                raise ClusterError(f"the scheduler is gone: {error}") from error
            self._shards.release()
        raise AssertionError

    async def _sum(self, request: Request) -> Vector:
        await self._shards.share()
        return await self._evaluate(request)

    async def _evaluate(self, request: Request) -> Vector:
        graph, owners, root = self._graph(request)
        where = {key: [address] for key, (address, _) in owners.items()}
        layer = MaterializedLayer(graph, annotations={"workers": where.get, "allow_other_workers": True})
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": 1 << 40}):  # theta may be large
            future = self._client.get(HighLevelGraph({root: layer}, {root: set()}), root, sync=False)
        self.timings.bytes_sent += request.nbytes
        try:
            work = self._shards.result(future)
            total = await self._shards.until(work, {key: block for key, (_, block) in owners.items()})
        finally:
            future.release()
        self._workers = len(total.workers)
        await self._shards.look(now=total.workers != self._shards.parts.keys())
        ((*_, vector),) = total.nodes
        self._slow = total.compute > SLOW_SECONDS
        self._count_up(total, vector)
        return vector  # type: ignore[no-any-return]

    def _count_up(self, total: tasks.PartialSum, vector: Vector) -> None:
        self.timings.compute += total.compute
        self.timings.load += total.load
        self.timings.bytes_received += vector.nbytes
        self.timings.losses = self._shards.losses

    def _graph(self, request: Request) -> tuple[dict[str, Task], dict[str, tuple[str, int]], str]:
        """Return one evaluation's tasks, the address and the first block of those that have any, and the sum's key."""
        name = f"{self._key}-{next(self._numbers)}"
        theta = f"theta-{name}"
        graph = {theta: Task(theta, tasks.theta, request)}
        owners = {}
        for number, (address, parts) in enumerate(self._groups()):
            key = f"evaluate-{name}-{number}"
            graph[key] = Task(key, tasks.evaluate, TaskRef(theta), *(TaskRef(part.future.key) for part in parts))
            owners[key] = address, parts[0].first
        sums, numbers = list(owners), itertools.count()
        fan_in = 2 if 8 * request.size > LARGE_BYTES else FAN_IN
        while len(sums) > 1:
            groups = [sums[start : start + fan_in] for start in range(0, len(sums), fan_in)]
            sums = [f"add-{name}-{next(numbers)}" for _ in groups]
            graph |= {
                key: Task(key, tasks.add, self._count, *map(TaskRef, group))
                for key, group in zip(sums, groups, strict=True)
            }
        return graph, owners, sums[0]

    def _groups(self) -> list[tuple[str, Sequence[Part]]]:
        """Return what each task evaluates, in order of blocks: all that a worker holds, or where it is slow a part."""
        held = self._shards.parts.items()
        return [(address, [part]) for address, parts in held for part in parts] if self._slow else list(held)
