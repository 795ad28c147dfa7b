"""The plugin that answers evaluations on a Dask worker, without tasks.

It has no state that cannot be rebuilt: it is set up on every worker that joins, and loads the blocks that a request
names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from distributed import Worker

from jobs.arithmetic import arithmetic
from jobs.cluster.plugin import CallPlugin, call
from jobs.minimize.evaluate.by_messages.messages import (
    Answer,
    RequestMessage,
    answer_of,
    lost_answer,
    request_message,
    request_of,
    unpack,
)
from jobs.minimize.evaluate.by_messages.tree import Branch
from jobs.minimize.evaluate.check import FindingFields
from jobs.minimize.evaluate.request import OnNan
from jobs.minimize.evaluate.shard import Shard
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import TreeSum, Vector
from jobs.usercode import UserCode

LARGE_BYTES = 1 << 20
"""Sums of more bytes are added in a thread: on the event loop they would delay messages and heartbeats."""


class ShardPlugin(CallPlugin):
    """Holds one objective's shard in this worker; its calls are `prepare` and `evaluate`."""

    purpose = "answer evaluations"

    def __init__(self, key: str, source: UserCode, expected: Expected, on_nan: OnNan) -> None:
        super().__init__(key)
        self._source, self._expected, self._on_nan = source, expected, on_nan

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop: imports and loads nothing of the user's."""
        self._shard = Shard(self._source, self._expected, worker.state.nthreads, self._on_nan, worker.address)
        super().setup(worker)

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes or the worker ends."""
        super().teardown(worker)
        self._shard.close()

    async def prepare(self) -> dict[str, str]:
        """Make the problem on this worker, and return the arithmetic of its libraries, which are loaded by then.

        Raises:
            InputError, UserCodeError: it cannot be made here, or is another one than the driver's.
        """
        await self._in_thread(self._shard.prepare)
        return await self._in_thread(arithmetic)

    async def check(self, *, start: Vector) -> list[FindingFields]:
        """Return what is found of the problem's contract on some rows, as of `Shard.check`."""
        return [finding.fields() for finding in await self._in_thread(self._shard.check, start)]

    async def evaluate(self, *, request: RequestMessage, task: bytes) -> Answer:
        """Sum a request over this worker's task, add its children's sums, and return the maximal nodes.

        Children whose worker is lost are left out: the driver computes which blocks the nodes do not cover.

        Raises:
            UserCodeError, DataError: what a block raised, here or on a child.
        """
        mine = unpack(task)
        # Before this worker's own sum: the children compute theirs at the same time.
        children = [asyncio.ensure_future(self._forward(request, branch)) for branch in mine.branches]
        if children:
            await asyncio.sleep(0)  # they are sent by then: this sum's thread may keep the interpreter's lock for long
        try:
            began, loaded = time.perf_counter(), self._shard.load_seconds
            total = await self._in_thread(self._shard.sum, request_of(request), mine.keep, mine.compute)
            load = self._shard.load_seconds - loaded
            return await _merged(total, time.perf_counter() - began - load, load, children)
        finally:
            for child in children:
                child.cancel()  # where one raises, the others' sums are of no use; nothing for those that are done
            await asyncio.gather(*children, return_exceptions=True)  # or asyncio would log "exception never retrieved"

    async def _forward(self, request: RequestMessage, branch: Branch) -> Answer:
        # Wrapped anew: Dask has unwrapped what it received.
        message = request_message(request["kind"], request["thetas"], request["direction"])
        try:
            return await evaluate(self.worker.rpc, self.key, message, branch)
        except OSError:
            # It alone: those below it are asked again by the driver, and one that is gone too is noticed then.
            return lost_answer([branch.address])


async def _merged(total: TreeSum, compute: float, load: float, children: Sequence[asyncio.Future[Answer]]) -> Answer:
    """Return a worker's sum with those of its children, added in order of arrival."""
    lost: list[str] = []
    for child in asyncio.as_completed(children):
        theirs = await child
        # Any order gives the same bits: a TreeSum adds siblings of one fixed tree only.
        await merge(total, theirs)
        lost += theirs["lost"]
        compute, load = max(compute, theirs["compute"]), max(load, theirs["load"])
    return answer_of(total, compute, load, lost)


async def merge(total: TreeSum, answer: Answer) -> int:
    """Add the nodes of an answer to a sum, large ones beside the event loop; return their bytes."""
    nbytes = int(sum(vector.nbytes for vector in answer["vectors"]))
    if nbytes > LARGE_BYTES:
        await asyncio.to_thread(_add, total, answer["nodes"], answer["vectors"])
    else:
        _add(total, answer["nodes"], answer["vectors"])
    return nbytes


def _add(total: TreeSum, nodes: Sequence[tuple[int, int]], vectors: Sequence[Vector]) -> None:
    for (level, index), vector in zip(nodes, vectors, strict=True):
        total.add(level, index, vector)


async def evaluate(pool: Any, key: str, request: RequestMessage, branch: Branch) -> Answer:
    """Call the worker of a branch for its task of a sum.

    Args:
        pool: Dask's connections, a client's or a worker's `rpc`.
        key: the plugin's.
        request: what is summed.
        branch: over which blocks, and by whom.

    Raises:
        JobError: what a block raised.
        OSError: the worker is gone, or going.
    """
    return await call(pool, key, branch.address, ShardPlugin.evaluate, request=request, task=branch.task)
