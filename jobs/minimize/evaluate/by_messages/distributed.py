"""Sums of a request over all blocks on a Dask cluster that may lose and gain workers at any time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from distributed.protocol import to_serialize

from jobs.cluster.membership import Membership
from jobs.cluster.plugin import call
from jobs.errors import ClusterError, JobError
from jobs.minimize.evaluate.by_messages import tree
from jobs.minimize.evaluate.by_messages.messages import Answer, lost_answer, request_message
from jobs.minimize.evaluate.by_messages.worker import ShardPlugin, evaluate, merge
from jobs.minimize.evaluate.check import FindingFields
from jobs.minimize.evaluate.on_cluster import ClusterEvaluator
from jobs.minimize.evaluate.request import OnNan, Request
from jobs.minimize.problems.identity import Expected
from jobs.sharding.assignment import assign
from jobs.sharding.blocks import Run, TreeSum, Vector, intersect, numbers, subtract
from jobs.usercode import UserCode

log = logging.getLogger(__name__)
MAX_WORKERS_LOST_PER_BLOCK = 3
"""Workers that may be lost over a block within one evaluation; then data or code that kill workers end the job."""
WATCH_SECONDS = 5.0
"""Period of checking with the scheduler that the workers that have not answered yet are still listed."""
T = TypeVar("T")


class DaskEvaluator(ClusterEvaluator):
    """Sums on the workers of a Dask cluster: one message to each worker and one back per evaluation."""

    def _set_up(self, source: UserCode, expected: Expected, on_nan: OnNan, workers_timeout: float) -> None:
        self._key = f"dask-jobs-{uuid.uuid4().hex[:12]}"
        self._membership = Membership(
            self._client,
            ShardPlugin(self._key, source, expected, on_nan),
            workers_timeout,
            # Before it is a member: evaluations wait until all new workers have the problem. Else the first worker to
            # have it would load all blocks, and drop most of them a moment later.
            prepare=self._prepare,
            keepalive=True,
        )
        self._generation = 0
        self._plan: dict[str, list[Run]] = {}
        self._roots: dict[tree.Shape, list[tree.Root]] = {}  # of all blocks, by the present assignment
        self._straight: set[str] = set()  # workers that answer the driver, but not another worker
        self._seconds = math.inf  # of computing, in the last evaluation; of the first, which loads, all may differ

    @property
    def workers(self) -> int:
        """How many workers take part."""
        return len(self._plan)

    def close(self) -> None:
        """Release the workers' data; a cluster that is gone already is not an error."""
        if self._client.status == "running":
            with contextlib.suppress(OSError, ValueError):
                self._client.sync(self._membership.close)  # without `poll`: also after a signal

    async def _prepare(self, address: str) -> None:
        """Make the problem on a new worker.

        Raises:
            InputError, UserCodeError: it cannot be made there, or its arithmetic is refused.
            OSError: the worker is gone.
        """
        try:
            found = await call(self._client.rpc, self._key, address, ShardPlugin.prepare)
        except JobError as error:
            raise type(error)(f"worker {address}: {error}", error.details) from error
        self._bits.add(f"worker {address}", found)

    async def _admit(self) -> None:
        await self._share()

    async def _check(self, start: Vector) -> Sequence[FindingFields]:
        address, *_ = await self._membership.current()
        try:
            return await call(self._client.rpc, self._key, address, ShardPlugin.check, start=to_serialize(start))
        except OSError:
            # Not on another one: rows that kill their worker kill them all, which an evaluation counts and says.
            self._membership.fail(address)
            return []

    async def _share(self) -> None:
        """Assign the blocks anew if workers came or went; those that stay keep what they hold."""
        members = await self._membership.current()
        # No `await` from here on: the generation belongs to these members.
        if self._membership.generation != self._generation:
            threads = {address: member.threads for address, member in members.items()}
            self._plan = assign(len(self._blocks), threads, self._plan)
            self._roots.clear()
            self._generation = self._membership.generation

    async def _sum(self, request: Request) -> Vector:
        state = _Evaluation(TreeSum(len(self._blocks)))
        try:
            while (unasked := state.unasked()) or state.running:
                if unasked:
                    await self._share()  # in the first round too: workers may have come since the last evaluation
                    self._ask(request, unasked, state)
                state.incomplete = False
                while state.running and not state.incomplete:
                    await self._collect(state)
        finally:
            # Only an error leaves any. Their workers complete their sums, and Dask drops what they answer: a cancelled
            # call's connection is closed. They need no memory of it: the next message is complete.
            for task in state.running:
                task.cancel()
        self._seconds = state.compute
        self.timings.compute += state.compute
        self.timings.load += state.load
        return state.total.total()

    def _ask(self, request: Request, blocks: list[Run], state: _Evaluation) -> None:
        """Send a request to the roots of the tasks that cover the blocks."""
        message = request_message(request.kind, request.thetas, request.direction)
        for root in self._roots_of(request, blocks, state.unreached):
            state.running[asyncio.ensure_future(evaluate(self._client.rpc, self._key, message, root.branch))] = root
            self.timings.bytes_sent += request.nbytes

    def _roots_of(self, request: Request, blocks: list[Run], unreached: set[str]) -> list[tree.Root]:
        """Return the roots of the tasks that cover the blocks; nearly always the same ones, of all blocks."""
        shape = tree.shape(len(self._plan), request.nbytes, 8 * request.size, self._seconds)
        straight = self._straight | unreached
        if unreached or blocks != [(0, len(self._blocks))]:
            return tree.roots(self._plan, blocks, shape, straight)
        if shape not in self._roots:
            self._roots[shape] = tree.roots(self._plan, blocks, shape, straight)
        return self._roots[shape]

    async def _collect(self, state: _Evaluation) -> None:
        """Wait for the next replies and add them.

        A worker that the scheduler has removed (it hangs, or its network does) is lost even if its connection is open.
        """
        done, _ = await asyncio.wait(state.running, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        # The first replies, not all: a worker that is done does not wait for the slowest before it gets the blocks of a
        # lost one.
        for task in done:
            root = state.running.pop(task)
            answer = _answer(task, root)
            self.timings.bytes_received += await merge(state.total, answer)
            state.compute, state.load = max(state.compute, answer["compute"]), max(state.load, answer["load"])
            if answer["lost"] == [root.branch.address]:
                self._drop(answer["lost"], root, state)
                continue
            self._reached(root.branch.address, state)
            if answer["lost"]:
                await self._not_reached(answer["lost"], root, state)
        if not done:
            known = await self._membership.listed()
            # A copy, since lost workers' tasks are deleted from it.
            for task, root in list(state.running.items()):
                if gone := root.addresses - known.keys():
                    # The whole tree of tasks: its root waits for the lost worker's answer, and its own sum with it.
                    task.cancel()
                    del state.running[task]
                    self._drop(sorted(gone), root, state)

    async def _not_reached(self, lost: list[str], root: tree.Root, state: _Evaluation) -> None:
        """Drop those that are gone of the workers that another one did not reach; the driver asks the others itself."""
        known = await self._membership.listed()
        self._drop([address for address in lost if address not in known], root, state)
        state.unreached.update(address for address in lost if address in known)
        state.incomplete = True

    def _reached(self, address: str, state: _Evaluation) -> None:
        """Leave a worker that has answered the driver, but not another worker, out of the tree from now on."""
        if address in state.unreached - self._straight:
            log.warning("worker %s answers the driver, but another worker did not reach it", address)
            self._straight.add(address)
            self._roots.clear()

    def _drop(self, lost: list[str], root: tree.Root, state: _Evaluation) -> None:
        """Drop lost workers from membership and assignment, so that what they held is requested from others.

        Raises:
            ClusterError: the limit is passed.
        """
        if not lost:
            return
        state.incomplete = True
        self._roots.clear()
        for address in lost:
            # Its own blocks: who was below it in the tree did not answer, but is not lost.
            state.lost_workers.update(numbers(intersect(self._plan.pop(address, ()), root.blocks)))
            # Each failure grows the generation, so that the blocks are assigned anew before the next call.
            self._membership.fail(address)
        self.timings.lost_workers += len(lost)
        # Counted per block, not in all: a large cluster may lose many workers in one long evaluation to mere evictions.
        block, times = max(state.lost_workers.items(), key=lambda item: item[1], default=(0, 0))
        if times > MAX_WORKERS_LOST_PER_BLOCK:
            raise ClusterError(
                f"block {block} was lost with its worker {times} times within one evaluation, the last was {lost[-1]}: "
                "if workers run out of memory, give them more of it, or use more workers"
            )


class _Evaluation:
    """The state of one evaluation: the sum so far, the pending calls, and for each block how many workers were lost."""

    def __init__(self, total: TreeSum) -> None:
        self.total = total
        self.running: dict[asyncio.Task[Answer], tree.Root] = {}
        self.lost_workers: Counter[int] = Counter()
        self.unreached: set[str] = set()  # workers that another one did not reach
        self.incomplete = False  # whether blocks are left that nobody sums
        self.compute = self.load = 0.0

    def unasked(self) -> list[Run]:
        """Return the blocks that neither the sum has nor a pending call sums."""
        asked = (run for root in self.running.values() for run in root.blocks)
        return subtract(self.total.missing(), asked)


def _answer(task: asyncio.Task[Answer], root: tree.Root) -> Answer:
    """Return a finished call's answer; a broken connection means that the root is lost.

    Raises:
        JobError: what a block raised.
    """
    try:
        return task.result()
    except OSError:
        # It alone: the blocks of those below it are requested again too, and one that is gone is noticed then.
        return lost_answer([root.branch.address])
