"""Sums of a request over all blocks on a Dask cluster that may lose and gain workers at any time."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

from distributed import Client

from jobs.blocks import Blocks, CanonicalSum, Run, Vector, subtract
from jobs.errors import ClusterError
from jobs.minimize import plan
from jobs.minimize.evaluation import OnNan, Request
from jobs.minimize.members import Members
from jobs.minimize.problem import Source
from jobs.minimize.sums import Timings
from jobs.minimize.worker import Reply, ShardPlugin, add_nodes, call

LOSSES_PER_EVALUATION = 5
"""How many times workers may be lost within one evaluation before it is given up: such data or code kills workers."""
WATCH_SECONDS = 5.0
"""How often the scheduler is asked whether the workers that have not answered yet are still there."""


class ClusterSum:
    """Sums on the workers of a Dask cluster: one message to each worker and one back for an evaluation.

    Args:
        client: a synchronous client.
        source: makes the problem on each worker.
        blocks: how the rows are cut.
        on_nan: 'fail' or 'inf'.
        workers_timeout: seconds to wait while there is no worker at all.
        timeout: seconds that one evaluation may take.
        poll: called at least twice a second while an evaluation runs; what it raises ends the evaluation.

    Raises:
        InputError, UserCodeError: a worker cannot make the problem.
        ClusterError: there is no worker.
    """

    def __init__(
        self,
        client: Client,
        source: Source,
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
        self._members = Members(client, self._key, workers_timeout)
        self._threads: dict[str, int] = {}
        self._plan: dict[str, list[Run]] = {}
        self.timings = Timings()
        client.register_plugin(ShardPlugin(self._key, source, on_nan))
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
                            f"an evaluation took longer than {self._timeout:g} s (--evaluation-timeout)"
                        ) from None
        finally:
            future.cancel()

    async def _share(self) -> None:
        """Share the blocks anew if workers came or went; those that stay keep what they hold."""
        threads = await self._members.current()
        if threads != self._threads:
            self._plan = plan.assign(len(self._blocks), threads, self._plan)
            self._threads = threads

    async def _sum(self, request: Request) -> Vector:
        total, losses = CanonicalSum(len(self._blocks)), 0
        running: dict[asyncio.Task[Reply], plan.Part] = {}
        slowest = Timings()
        try:
            while missing := total.missing():
                if open_blocks := subtract(missing, [run for part in running.values() for run in plan.todo(part)]):
                    await self._share()
                    running |= self._start(request, open_blocks)
                lost = await self._collect(running, total, slowest)
                losses += bool(lost)
                self._lose(lost, losses)
        finally:
            for task in running:
                task.cancel()
        self.timings.compute += slowest.compute
        self.timings.load += slowest.load
        return total.total()

    def _start(self, request: Request, blocks: list[Run]) -> dict[asyncio.Task[Reply], plan.Part]:
        """Send a request to the roots of the parts that cover the blocks."""
        message = {"kind": request.kind, "thetas": request.thetas, "direction": request.direction}
        parts = plan.parts(self._plan, blocks, 8 * request.size)
        self.timings.bytes_sent += len(parts) * request.nbytes
        return {asyncio.ensure_future(call(self._client.rpc, self._key, message, part)): part for part in parts}

    async def _collect(
        self, running: dict[asyncio.Task[Reply], plan.Part], total: CanonicalSum, slowest: Timings
    ) -> list[str]:
        """Wait for the next replies and add them; return the workers that were lost.

        A worker that the scheduler has given up (it hangs, or its network does) is lost even if its connection stands.
        """
        done, _ = await asyncio.wait(running, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            known = await self._members.listed()
            gone = {task: plan.addresses(part) - known.keys() for task, part in running.items()}
            for task in [task for task, missing in gone.items() if missing]:
                task.cancel()
                del running[task]
            return [address for missing in gone.values() for address in missing]
        lost: list[str] = []
        for task in done:
            reply = _reply(task, running.pop(task))
            add_nodes(total, reply)
            lost += reply["lost"]
            slowest.compute, slowest.load = max(slowest.compute, reply["compute"]), max(slowest.load, reply["load"])
            self.timings.bytes_received += sum(vector.nbytes for vector in reply.get("vectors", ()))
        return lost

    def _lose(self, lost: list[str], losses: int) -> None:
        """Forget workers that were lost, unless one evaluation has lost too many.

        Raises:
            ClusterError: the limit is passed.
        """
        for address in lost:
            self._plan.pop(address, None)
            self._members.fail(address)
        self.timings.losses += len(lost)
        if lost and losses > LOSSES_PER_EVALUATION:
            raise ClusterError(
                f"workers were lost {losses} times within one evaluation, {lost[-1]} last: "
                "if they run out of memory, give them more of it or use more workers"
            )


def _reply(task: asyncio.Task[Reply], part: plan.Part) -> Reply:
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
