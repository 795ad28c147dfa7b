"""Sums of a request over all blocks on a Dask cluster that may lose and gain workers at any time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import pickle
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from distributed import Client

from jobs.errors import ClusterError, argument
from jobs.minimize.evaluate import tree
from jobs.minimize.evaluate.evaluator import Timings
from jobs.minimize.evaluate.members import Members
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.evaluate.worker import Reply, ShardPlugin, call, merge
from jobs.minimize.problems.base import UserCode
from jobs.minimize.problems.identity import Expected
from jobs.sharding.assignment import assign
from jobs.sharding.blocks import Blocks, Run, TreeSum, Vector, intersect, numbers, subtract

LOSSES_OF_A_BLOCK = 3
"""How many workers may be lost over a block within one evaluation: data or code that kill workers are given up."""
WATCH_SECONDS = 5.0
"""How often the scheduler is asked whether the workers that have not answered yet are still there."""


class DaskEvaluator:
    """Sums on the workers of a Dask cluster: one message to each worker and one back for an evaluation.

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
        self._client, self._blocks = client, blocks
        self._timeout, self._poll = timeout, poll
        self._key = f"dask-jobs-{uuid.uuid4().hex[:12]}"
        self._members = Members(client, ShardPlugin(self._key, source, expected, on_nan), workers_timeout)
        self._threads: dict[str, int] = {}
        self._plan: dict[str, list[Run]] = {}
        self.timings = Timings()
        try:
            self._run(self._share())
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """How many workers take part."""
        return len(self._plan)

    def __call__(self, request: Request) -> Vector:
        """Return the sum, (request.size,) float64; workers may come and go meanwhile.

        Raises:
            UserCodeError, DataError: what a block raised.
            ClusterError: no workers in time, too many lost, or the evaluation's time is over.
        """
        began = time.perf_counter()
        total: Vector = self._run(self._sum(request))
        self.timings.evaluations += 1
        self.timings.seconds += time.perf_counter() - began
        return total

    def close(self) -> None:
        """Let the workers' data go; a cluster that is gone already is no error."""
        if self._client.status == "running":
            with contextlib.suppress(OSError, ValueError):  # a worker or scheduler that dies takes its data along
                self._client.unregister_worker_plugin(self._key)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
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
                            f"an evaluation took longer than {self._timeout:g} s ({argument('evaluation_timeout')})"
                        ) from None
        finally:
            future.cancel()

    async def _share(self) -> None:
        """Share the blocks anew if workers came or went; those that stay keep what they hold."""
        threads = await self._members.current()
        if threads != self._threads:
            self._plan = assign(len(self._blocks), threads, self._plan)
            self._threads = threads

    async def _sum(self, request: Request) -> Vector:
        state = _Evaluation(TreeSum(len(self._blocks)))
        try:
            while missing := state.total.missing():
                if unasked := subtract(missing, state.asked()):
                    await self._share()
                    self._ask(request, unasked, state)
                await self._collect(state)
        finally:
            for task in state.running:
                task.cancel()
        self.timings.compute += state.compute
        self.timings.load += state.load
        return state.total.total()

    def _ask(self, request: Request, blocks: list[Run], state: _Evaluation) -> None:
        """Send a request to the roots of the parts that cover the blocks."""
        message = {"kind": request.kind, "thetas": request.thetas, "direction": request.direction}
        for part in tree.worker_tasks(self._plan, blocks, 8 * request.size):
            state.running[asyncio.ensure_future(call(self._client.rpc, self._key, message, part))] = part
            self.timings.bytes_sent += request.nbytes

    async def _collect(self, state: _Evaluation) -> None:
        """Wait for the next replies and add them.

        A worker that the scheduler has given up (it hangs, or its network does) is lost even if its connection stands.
        """
        done, _ = await asyncio.wait(state.running, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            part = state.running.pop(task)
            reply = _reply(task, part)
            self.timings.bytes_received += await merge(state.total, reply)
            state.compute, state.load = max(state.compute, reply["compute"]), max(state.load, reply["load"])
            self._lose(reply["lost"], part, state)
        if not done:
            known = await self._members.listed()
            for task, part in list(state.running.items()):
                if gone := tree.addresses(part) - known.keys():
                    task.cancel()
                    del state.running[task]
                    self._lose(sorted(gone), part, state)

    def _lose(self, lost: list[str], part: tree.WorkerTask, state: _Evaluation) -> None:
        """Forget workers that were lost, unless they were lost over the same blocks again and again.

        Raises:
            ClusterError: the limit is passed.
        """
        if not lost:
            return
        for address in lost:
            self._plan.pop(address, None)
            self._members.fail(address)
        self._threads = {}
        self.timings.losses += len(lost)
        state.losses.update(numbers(intersect(state.total.missing(), tree.computed(part))))
        block, times = max(state.losses.items(), key=lambda item: item[1], default=(0, 0))
        if times > LOSSES_OF_A_BLOCK:
            raise ClusterError(
                f"block {block} was lost with its worker {times} times within one evaluation, the last was {lost[-1]}: "
                "if workers run out of memory, give them more of it, or use more workers"
            )


class _Evaluation:
    """One evaluation under way: the sum so far, the calls that are out, and what was lost on the way."""

    def __init__(self, total: TreeSum) -> None:
        self.total = total
        self.running: dict[asyncio.Task[Reply], tree.WorkerTask] = {}
        self.losses: Counter[int] = Counter()
        self.compute = self.load = 0.0

    def asked(self) -> list[Run]:
        """Return the blocks that calls are out for."""
        return [run for part in self.running.values() for run in tree.computed(part)]


def _reply(task: asyncio.Task[Reply], part: tree.WorkerTask) -> Reply:
    """Return a finished call's reply; a broken connection means that the part's root is lost.

    Raises:
        JobError: what the worker replied with.
    """
    try:
        reply = task.result()
    except OSError:
        return {"nodes": [], "compute": 0.0, "load": 0.0, "lost": [part.address]}
    if "error" in reply:
        raise pickle.loads(reply["error"])  # noqa: S301  from our own worker
    return reply
