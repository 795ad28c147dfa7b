"""The driver's side of a group of replicas: who takes part, who has the state, what to do when one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from distributed import Client

from jobs.cluster import alive
from jobs.cluster.bits import Bits
from jobs.cluster.membership import Membership
from jobs.cluster.plugin import call
from jobs.errors import ClusterError, JobError, argument, spelled
from jobs.sharding.assignment import assign_evenly
from jobs.sharding.blocks import Run, length
from jobs.train.exchange.group import Roster
from jobs.train.group.likeness import Likeness
from jobs.train.group.outcomes import Tasks, late, outcomes, until_uneven
from jobs.train.group.worker import TrainPlugin
from jobs.train.loop.timeline import Timeline
from jobs.train.process.messages import Facts, Status
from jobs.train.process.plan import Plan

T = TypeVar("T")
log = logging.getLogger(__name__)
WATCH_SECONDS = 0.5
"""Period of looking who is there, and how far the group is."""
MAX_FAILURES = 20
"""Groups in a row that may end without a step."""


class Coordinator:
    """Keeps replicas on all workers of a cluster in step; its coroutines run on the client's event loop.

    Args:
        client: the client.
        plugin: the workers' side.
        workers_timeout: seconds without any worker that are too many.
        bits: the arithmetic of the run's processes, to which the workers' is added.

    Attributes:
        restore: sets the state on the worker at an address, when no worker has one.
        lost_workers: how many were lost while they took part.
        timeline: which worker took part when.
    """

    def __init__(self, client: Client, plugin: TrainPlugin, workers_timeout: float, bits: Bits) -> None:
        self._client, self._key, self._likeness = client, plugin.key, Likeness(bits)
        self.membership = Membership(client, plugin, workers_timeout, prepare=self._prepare, keepalive=True)
        self.restore: Callable[[str], Awaitable[None]]
        self.lost_workers, self.timeline = 0, Timeline()
        self._plan: bytes | None = None
        self._parts, self._step_timeout = 1, 0.0
        self._held: dict[str, list[Run]] = {}
        self._lost: set[str] = set()
        self._took_part: set[str] = set()
        self._generation = 0
        self._busy = asyncio.Lock()  # while a group takes steps: what is read of a state then may be half of a step

    @property
    def fingerprint(self) -> dict[str, str]:
        """What decides the bits of the first worker's arithmetic, name -> value."""
        return self._likeness.fingerprint

    async def on_first(self, ask: Callable[[str], Coroutine[Any, Any, T]]) -> T:
        """Return the answer of a worker that has the state; of another one if it is lost meanwhile."""
        while True:
            address, *_ = await self.sync()
            answer = await self.or_lost(address, alive.boxed(ask(address)))
            if answer is not None:
                return answer[0]

    async def ask(self, address: str, method: Callable[..., Coroutine[Any, Any, T]], **message: Any) -> T:
        """Call a method of the plugin on the worker at an address; OSError if that is gone, or frozen."""
        work, limit = self._call(address, method, **message), max(self._step_timeout, alive.QUIET_SECONDS)
        try:
            return await alive.while_alive(work, lambda: self._call(address, TrainPlugin.ping), limit)
        except alive.FrozenError as error:
            self._lose(address, str(error))
            self.membership.exclude(address)
            raise

    async def _call(self, address: str, method: Callable[..., Coroutine[Any, Any, T]], **message: Any) -> T:
        return await call(self._client.rpc, self._key, address, method, **message)

    async def ask_all(self, method: Callable[..., Coroutine[Any, Any, T]], **message: Any) -> dict[str, T]:
        """Call a method on all workers, which have the state; return address -> answer of those that were not lost."""
        members = await self.sync()
        asks = (self.or_lost(one, alive.boxed(self.ask(one, method, **message))) for one in members)
        answers = zip(members, await asyncio.gather(*asks), strict=True)
        return {address: answer[0] for address, answer in answers if answer is not None}

    async def _prepare(self, address: str) -> None:
        """Build the model on a new worker, and open the data; called before it is a member.

        Raises:
            JobError: at the start, its model or its arithmetic is another one, or it cannot be built there.
            OSError: it is gone, or is turned away.
        """
        try:
            self._likeness.check_built(address, await self.ask(address, TrainPlugin.prepare))
            if self._plan is not None:
                await self._open(address)
            self._lost.discard(address)  # it takes part again, and may be lost again
        except JobError as error:
            if not self._generation:
                raise
            # The run goes on without a worker that joins and does not fit.
            log.warning("turned away: %s", error)
            self.membership.exclude(address)
            raise OSError(str(error)) from error

    async def _open(self, address: str) -> Facts:
        assert self._plan is not None
        facts = await self.ask(address, TrainPlugin.load, plan=self._plan)
        self._likeness.check_facts(address, facts)
        return facts

    async def load(self, plan: Plan) -> Facts:
        """Open the data on all workers.

        Raises:
            InputError, DataError, UserCodeError: they cannot be used.
            ClusterError: there is no worker.
        """
        self._plan, self._parts, self._step_timeout = pickle.dumps(plan), plan.parts, plan.step_timeout
        self._likeness.facts = None
        while self._likeness.facts is None:
            members = list(await self.membership.current())
            await asyncio.gather(*(self.or_lost(one, self._open(one)) for one in members))
        return self._likeness.facts

    async def or_lost(self, address: str, work: Awaitable[T]) -> T | None:
        """Return what a worker answers, None if it is gone; then it is no member any more."""
        try:
            return await work
        except OSError:
            self.membership.fail(address)
            return None

    async def sync(self) -> list[str]:
        """Give all members the state of the most advanced one, and return their addresses.

        Raises:
            ClusterError: there is no worker, or copies differ.
        """
        while True:
            members = list(await self.membership.current())
            steps = {one: await self.or_lost(one, self._step(one)) for one in members}
            present = {address: step for address, step in steps.items() if step is not None}
            if not present:
                continue  # `current` waits for others, up to its limit
            source, step = max(present.items(), key=lambda item: item[1])
            try:
                if step < 0:
                    await self.restore(source)
                    step = await self._step(source)
                behind = [address for address, one in present.items() if one < step and address != source]
                await self._copy(source, behind)
            except OSError:
                self.membership.fail(source)
                continue
            if present.keys() <= self.membership.members.keys():  # else one was lost meanwhile, and had no copy
                return list(present)

    async def _step(self, address: str) -> int:
        return (await self.ask(address, TrainPlugin.status))["step"]

    async def _copy(self, source: str, behind: list[str]) -> None:
        if not behind:
            return
        asks = (self.or_lost(one, self.ask(one, TrainPlugin.copy, source=source)) for one in [source, *behind])
        wanted, *found = await asyncio.gather(*asks)
        if wanted is None:
            raise OSError(f"worker {source} is gone")
        for address, digest in zip(behind, found, strict=True):
            if digest not in (None, wanted):
                raise ClusterError(f"worker {address} has another state than {source}, from which it was copied")

    def _roster(self, members: list[str]) -> Roster:
        """Deal the parts to members, in aligned runs, few of them anew; members beyond the parts are spares."""
        for address in self._took_part - set(members):
            self._lose(address, "is gone")  # between two groups, where no call has seen it
        self._took_part = set(members)
        self._held = assign_evenly(self._parts, members[: self._parts], self._held)
        self._generation += 1
        return Roster(self._generation, {address: self._held.get(address, []) for address in members}, self._parts)

    async def train(self, until: int, progress: Callable[[Status], None]) -> Status:
        """Take steps until `until` are done, with any workers that there are, and return the status of one.

        Args:
            until: a number of steps.
            progress: gets a worker's status now and then, on the event loop.

        Raises:
            UserCodeError, DataError: what a worker raised.
            ClusterError: no workers in time, or groups end again and again without a step.
        """
        failures, before = 0, -1
        while True:
            members = await self.sync()
            status = await self.or_lost(members[0], self.ask(members[0], TrainPlugin.status))
            if status is None:
                continue
            if status["step"] >= until:
                return status
            failures = failures + 1 if status["step"] == before else 0
            before = status["step"]
            if failures > MAX_FAILURES:
                raise ClusterError(f"{failures} groups of workers in a row ended before step {before + 1}")
            async with self._busy:
                await self._take_steps(self._roster(members), until, progress)

    async def status(self) -> Status:
        """Return how far the workers are, once a group that was interrupted has ended."""
        async with self._busy:
            return await self.on_first(lambda one: self.ask(one, TrainPlugin.status))

    async def _take_steps(self, roster: Roster, until: int, progress: Callable[[Status], None]) -> None:
        """Run a group until its steps are done, a member is lost, or another worker joins."""
        message = pickle.dumps(roster)
        self.timeline.group({address: length(runs) for address, runs in roster.runs.items()})
        tasks = {  # not by `ask`: a step may be long, and the other members notice one that is frozen
            address: asyncio.create_task(self._call(address, TrainPlugin.train, roster=message, until=until))
            for address in roster.runs
        }
        watch = asyncio.create_task(self._watch(roster, progress))
        try:
            await until_uneven(tasks, watch)
        finally:
            watch.cancel()
            await self._end(roster, tasks)
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        self.timeline.ended({address: outcome["spent"] for address, outcome in outcomes(tasks).items()})
        self._judge(tasks)

    async def _end(self, roster: Roster, tasks: Tasks) -> None:
        """End a group on all its members, and wait for their last step; who does not end it in time is cancelled."""
        if all(task.done() for task in tasks.values()):
            return
        asks = (self.ask(one, TrainPlugin.abort, generation=roster.generation) for one in roster.runs)
        aborts = [asyncio.create_task(ask) for ask in asks]  # not awaited: a worker that is frozen never answers
        deadline = time.monotonic() + self._step_timeout
        while waiting := [task for one, task in tasks.items() if not task.done() and one not in late(tasks)]:
            done, _ = await asyncio.wait(
                waiting, timeout=max(deadline - time.monotonic(), 0), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
        left = [*aborts, *tasks.values()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _judge(self, tasks: Tasks) -> None:
        """Note who was lost in a group, and raise what a member's own code raised."""
        errors, overdue = [], late(tasks)
        for address, task in tasks.items():
            if task.cancelled() or address in overdue:
                self._lose(address, f"did not send for {self._step_timeout:g} s ({argument('step_timeout')})")
                self.membership.exclude(address)
            elif isinstance(error := task.exception(), OSError):
                self._lose(address, f"is gone: {error}")
                self.membership.fail(address)
            elif error is not None:
                errors.append(error)
        # The part that names itself comes before those that only saw the sum.
        for error in sorted(errors, key=lambda one: "some part" in str(one)):
            raise error

    def _lose(self, address: str, why: str) -> None:
        if address in self._lost:
            return  # two calls have waited for it
        self._lost.add(address)
        self.lost_workers += 1
        self.timeline.gone(address)
        log.warning("worker %s %s; the others go on without it", address, spelled(why))

    async def _watch(self, roster: Roster, progress: Callable[[Status], None]) -> None:
        """Look who is there and how far the group is, until a worker has joined that can take part.

        A new worker is prepared meanwhile, which takes seconds; the group is ended when it is ready.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            address = next(iter(roster.runs))
            with contextlib.suppress(OSError, ClusterError):  # for the display: the group's calls say what is wrong
                progress(await self.ask(address, TrainPlugin.status))
            members = await self.membership.refresh()
            if members.keys() - roster.runs.keys() and len(roster.senders) < roster.parts:  # more would be spares
                return
