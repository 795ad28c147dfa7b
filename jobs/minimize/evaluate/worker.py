"""What runs inside a Dask worker: a plugin that answers evaluations directly, without tasks.

The driver calls the handlers over Dask's own connections (TLS included), at a fraction of a task's latency. Nothing
here is precious: the plugin is set up on every worker that joins, and a shard loads whatever blocks it is asked for.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from distributed import Worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.protocol import to_serialize

from jobs.errors import JobError
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.evaluate.shard import Shard
from jobs.minimize.evaluate.tree import WorkerTask, addresses
from jobs.minimize.problems.identity import Expected
from jobs.sharding.blocks import TreeSum, Vector
from jobs.usercode import UserCode, only_exceptions

Reply = dict[str, Any]
LARGE_BYTES = 1 << 20
"""Sums of more bytes are added in a thread: on the event loop they would hold up messages and heartbeats."""


class ShardPlugin(WorkerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """Holds one objective's shard in this worker, and answers `evaluate` and `prepare` under the objective's key."""

    def __init__(self, key: str, source: UserCode, expected: Expected, on_nan: OnNan) -> None:
        self.name = self.key = key
        self._source, self._expected, self._on_nan = source, expected, on_nan

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker's event loop: only names the handlers, loads nothing."""
        self._worker = worker
        self._shard = Shard(self._source, self._expected, worker.state.nthreads, self._on_nan, worker.address)
        worker.handlers[f"{self.key}-evaluate"] = self.evaluate
        worker.handlers[f"{self.key}-prepare"] = self.prepare

    def teardown(self, worker: Worker) -> None:
        """Called by Dask when the plugin goes or the worker ends."""
        for call in ("evaluate", "prepare"):
            worker.handlers.pop(f"{self.key}-{call}", None)
        self._shard.close()

    async def prepare(self) -> Reply:
        """Make the problem on this worker; the reply has `error` if that failed."""
        try:
            await asyncio.to_thread(only_exceptions, self._shard.prepare)
        except JobError as error:
            return {"error": pickle.dumps(error)}
        return {}

    async def evaluate(self, request: dict[str, Any], task: bytes) -> Reply:
        """Sum a request over this worker's task, add its children's sums, and reply with the maximal nodes.

        Children whose worker is lost are left out: the driver sees which blocks the nodes do not cover.
        """
        mine: WorkerTask = pickle.loads(task)  # noqa: S301  from the driver; whoever reaches a Dask port runs code anyway
        children = [asyncio.ensure_future(self._forward(request, child)) for child in mine.children]
        try:
            began = time.perf_counter()
            loaded = self._shard.load_seconds
            total = await asyncio.to_thread(
                only_exceptions, self._shard.sum, Request(**request), mine.keep, mine.compute
            )
        except JobError as error:
            for child in children:
                child.cancel()
            return {"error": pickle.dumps(error)}
        loading = self._shard.load_seconds - loaded
        reply = {"compute": time.perf_counter() - began - loading, "load": loading, "lost": []}
        return await self._merge(total, reply, children)

    async def _forward(self, request: dict[str, Any], child: WorkerTask) -> Reply:
        try:
            return await call(self._worker.rpc, self.key, request, child)
        except OSError:
            return {"nodes": [], "compute": 0.0, "load": 0.0, "lost": sorted(addresses(child))}

    async def _merge(self, total: TreeSum, reply: Reply, children: Sequence[asyncio.Future[Reply]]) -> Reply:
        for child in asyncio.as_completed(children):
            theirs = await child
            if "error" in theirs:
                return theirs
            await merge(total, theirs)
            reply["lost"] += theirs["lost"]
            for seconds in ("compute", "load"):
                reply[seconds] = max(reply[seconds], theirs[seconds])
        nodes = total.nodes()
        return {**reply, "nodes": [node[:2] for node in nodes], "vectors": [to_serialize(node[2]) for node in nodes]}


def has_plugin(key: str, dask_worker: Worker) -> bool:
    """Return whether the plugin is set up; run on a worker by `Client.run`."""
    return f"{key}-evaluate" in dask_worker.handlers


async def merge(total: TreeSum, reply: Reply) -> int:
    """Add the nodes of a reply to a sum, large ones beside the event loop; return their bytes."""
    vectors = reply.get("vectors", ())
    nbytes = int(sum(vector.nbytes for vector in vectors))
    if nbytes > LARGE_BYTES:
        await asyncio.to_thread(_add, total, reply["nodes"], vectors)
    else:
        _add(total, reply["nodes"], vectors)
    return nbytes


def _add(total: TreeSum, nodes: Sequence[tuple[int, int]], vectors: Sequence[Vector]) -> None:
    for (level, index), vector in zip(nodes, vectors, strict=True):
        total.add(level, index, vector)


async def call(pool: Any, key: str, request: dict[str, Any], task: WorkerTask) -> Reply:
    """Ask the worker at `task.address` for its task of a sum over a Dask connection pool.

    Raises:
        OSError: the worker is gone, or going.
    """
    message = {name: to_serialize(value) if isinstance(value, np.ndarray) else value for name, value in request.items()}
    return await ask(pool, f"{key}-evaluate", task.address, request=message, task=pickle.dumps(task))


async def ask(pool: Any, name: str, address: str, **message: Any) -> Reply:
    """Call a handler of the plugin on the worker at `address`.

    Raises:
        OSError: the worker is gone, or going: a closing one has no plugin any more (Dask answers None), or no threads.
    """
    try:
        reply: Reply | None = await getattr(pool(address), name)(**message)
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"worker {address} failed: {error!r}") from error
    if reply is None:
        raise OSError(f"worker {address} is closing")
    return reply
