"""Sums of a request over all blocks as Dask tasks: seen on the dashboard, and by clusters that adapt to their tasks."""

from __future__ import annotations

import concurrent.futures
import itertools
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import dask
from dask._task_spec import Task, TaskRef
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from jobs.cluster.membership import scheduler_gone
from jobs.datasets.memory.source import sources_in
from jobs.errors import ClusterError
from jobs.formatting import error_line
from jobs.minimize.evaluate.by_futures import tasks
from jobs.minimize.evaluate.by_futures.shard_futures import STRANDED, Part, ShardFutures, Stranded
from jobs.minimize.evaluate.check import FindingFields
from jobs.minimize.evaluate.on_cluster import ClusterEvaluator
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import Vector
from jobs.usercode import UserCode

T = TypeVar("T")
SLOW_SECONDS = 1.0
"""Past so many seconds of computing, the next evaluation has a task for each of a worker's futures, instead of one."""
FAN_IN = 8
"""Sums that one task adds; 2 of those of more than LARGE_BYTES, so that no worker receives many of them."""
LARGE_BYTES = 1 << 20


class FuturesEvaluator(ClusterEvaluator):
    """Sums on the workers of a Dask cluster by tasks, with the bits of `DaskEvaluator`, at more overhead per sum.

    Shards are futures: Dask loads them again elsewhere when their worker is lost, and runs the tasks that need them.
    An evaluation is one graph: theta, a task per worker, and the tree of tasks that adds their sums.
    """

    def _set_up(self, source: UserCode, expected: Expected, on_nan: OnNan, workers_timeout: float) -> None:
        unique = uuid.uuid4().hex
        self._key = f"{unique[:8]}-{unique[8:]}"  # Dask names a task group by the part of keys before 8 hex digits
        self._numbers = itertools.count()
        waits = any(rows.chunked for rows in sources_in(source).values())
        recipe = tasks.Recipe(self._key, source, expected, on_nan, waits)
        self._shards = ShardFutures(self._client, recipe, len(self._blocks), workers_timeout, self._bits)
        self._slow, self._workers = False, 0

    @property
    def workers(self) -> int:
        """How many workers take part; those that did in the last evaluation."""
        return self._workers or self._shards.admitted

    def close(self) -> None:
        """Release all futures, and with them the workers' data; a cluster that is gone already is not an error."""
        self._shards.release()

    async def _admit(self) -> object:
        return await self._retry(self._shards.admit)

    async def _check(self, start: Vector) -> Sequence[FindingFields]:
        return await self._retry(lambda: self._shards.check(start))

    async def _sum(self, request: Request) -> Vector:
        async def work() -> Vector:
            await self._shards.share()
            return await self._evaluate(request)

        return await self._retry(work)

    async def _retry(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run work on the cluster, and retry it with new futures where they, or all workers, were lost at once.

        Raises:
            ClusterError: that happened `STRANDED` times, or the scheduler is gone.
        """
        for times in itertools.count():
            try:
                return await work()
            except Stranded as error:
                if times == STRANDED:
                    raise error.args[0] from None
            except concurrent.futures.CancelledError as error:  # Dask's; asyncio's own is another class
                if times == STRANDED:
                    raise ClusterError(f"tasks were cancelled again and again: {error_line(error)}") from error
            except OSError as error:
                raise scheduler_gone(error) from error
            self._shards.release()  # the next try makes new ones
        raise AssertionError

    async def _evaluate(self, request: Request) -> Vector:
        graph, owners, root = self._graph(request)
        where = {key: [address] for key, (address, _) in owners.items()}
        # Of a key, by Dask's annotations: theta and the sums have no place of their own, `get` has None for them.
        layer = MaterializedLayer(graph, annotations={"workers": where.get, "allow_other_workers": True})
        # theta is meant to be in the graph: scattered data would be lost with their worker.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": 1 << 40}):
            future = self._client.get(HighLevelGraph({root: layer}, {root: set()}), root, sync=False)
        self.timings.bytes_sent += request.nbytes
        try:
            work = self._shards.result(future)
            total = await self._shards.until(work, {key: block for key, (_, block) in owners.items()})
        finally:
            future.release()
        self._workers = len(total.workers)
        # At once where others than planned have computed: some worker was lost, though Dask made up for it.
        await self._shards.refresh(now=total.workers != self._shards.parts.keys())
        ((*_, vector),) = total.nodes
        self._slow = total.compute > SLOW_SECONDS
        self._record(total, vector)
        return vector  # type: ignore[no-any-return]

    def _record(self, total: tasks.PartialSum, vector: Vector) -> None:
        self.timings.compute += total.compute
        self.timings.load += total.load
        self.timings.bytes_received += vector.nbytes
        self.timings.lost_workers = self._shards.lost_workers

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
                key: Task(key, tasks.add, len(self._blocks), *map(TaskRef, group))
                for key, group in zip(sums, groups, strict=True)
            }
        return graph, owners, sums[0]

    def _groups(self) -> list[tuple[str, Sequence[Part]]]:
        """Return what each task evaluates, in order of blocks: all that a worker holds, or where slow one part."""
        held = self._shards.parts.items()
        return [(address, [part]) for address, parts in held for part in parts] if self._slow else list(held)
