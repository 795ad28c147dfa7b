"""The driver's side of loading and shuffling: which worker has which partition, and what to do when one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import pickle
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from distributed import Client

from jobs.alexnet.group.worker import ImagesPlugin
from jobs.alexnet.partitions.layout import Layout
from jobs.cluster.alive import FrozenError, while_alive
from jobs.cluster.membership import Membership
from jobs.cluster.plugin import call
from jobs.cluster.polling import run_polling
from jobs.errors import ClusterError, JobError, argument, spelled
from jobs.sharding.assignment import assign
from jobs.sharding.blocks import Run, numbers

log = logging.getLogger(__name__)
MAX_FAILURES = 20
"""Attempts in a row that may fail."""
WATCH_SECONDS = 1.0
"""Period of looking which workers have the plugin, while others train."""
T = TypeVar("T")
Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are, and of how many."""


class Loading:
    """Keeps partitions of images on the workers of a cluster.

    Args:
        client: a synchronous client.
        plugin: the workers' side.
        layout: the partitions, of which no image is known to be bad.
        packed: runs of partitions of one compressed tar, which one worker unpacks.
        workers_timeout: seconds without any worker that are too many.
        step_timeout: seconds without an answer after which a worker counts as lost.
        poll: called at least twice a second; what it raises ends the wait.

    Attributes:
        layout: with the bad images, once they are loaded.
        bad: image -> why it cannot be used.
        owners: partition -> address of the worker that has it.
    """

    def __init__(
        self,
        client: Client,
        plugin: ImagesPlugin,
        layout: Layout,
        *,
        packed: Sequence[Run] = (),
        workers_timeout: float = 300.0,
        step_timeout: float = 600.0,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        self._client, self._plugin, self._poll = client, plugin, poll
        self._packed, self._step_timeout, self._turn = packed, step_timeout, 0
        self._membership = Membership(client, plugin, workers_timeout, keepalive=True)
        self.layout = layout
        self.bad: dict[int, str] = {}
        self.owners: dict[int, str] = {}
        self._watching: Future[None] | None = None
        self._error = ""

    def load(self, progress: Progress) -> None:
        """Load all partitions, each on one worker.

        Raises:
            InputError, DataError: the files cannot be used.
            ClusterError: the storage cannot be reached, or there is no worker.
        """
        self._run(self._load(progress))
        self.layout = self.layout.without(self.bad)

    def shuffle(self, rounds: int, progress: Progress) -> None:
        """Exchange images between partitions for so many rounds; what a lost worker had is made again.

        Raises:
            InputError, DataError: the files cannot be used.
            ClusterError: the storage cannot be reached, or there is no worker.
        """
        for number in range(rounds):
            self._run(self._round(number))
            progress("rounds of the shuffle", number + 1, rounds)
        self._run(self._settle(rounds))
        self._watching = asyncio.run_coroutine_threadsafe(self._watch(), self._client.loop.asyncio_loop)

    async def _watch(self) -> None:
        """Keep the plugin on all workers, new ones and after a broken connection, while its images are trained on."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            # Training finds out what is wrong; the error of this would only be another.
            with contextlib.suppress(JobError, OSError):
                await self._membership.current()

    def close(self) -> None:
        """Free the workers."""
        if self._watching is not None:
            self._watching.cancel()
        run_polling(self._client, self._membership.close(), lambda: None)  # no `poll`: also after a signal

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        run_polling(self._client, work, self._poll)

    async def _load(self, progress: Progress) -> None:
        # Only attempts that brought nothing count: of a thousand workers some are lost in each hour of loading.
        count, failures, before = len(self.layout.ends), 0, -1
        while missing := await self._missing():
            failures = self._checked(failures + 1 if len(missing) == before else 0)
            before = len(missing)
            self._turn += 1
            shares = self._shares(missing, self._packed)
            tasks = [asyncio.create_task(self._load_on(address, mine, progress)) for address, mine in shares.items()]
            try:
                await asyncio.gather(*tasks)
            finally:  # the first error of the files ends all; what a worker still loads is of an earlier turn
                for task in tasks:
                    task.cancel()
            progress("partitions loaded", len(self.owners), count)

    async def _missing(self) -> list[int]:
        """Return partitions that no member has, after noting who is gone."""
        members = await self._membership.current()
        self.owners = {number: address for number, address in self.owners.items() if address in members}
        return [number for number in range(len(self.layout.ends)) if number not in self.owners]

    def _shares(self, missing: Sequence[int], packed: Sequence[Run] = ()) -> dict[str, list[int]]:
        """Deal missing partitions to members, in aligned runs; those of each run of `packed` to one."""
        members = self._membership.members
        held: dict[str, list[Run]] = {address: [] for address in members}
        for number, address in sorted(self.owners.items()):
            held[address].append((number, number + 1))
        threads = {address: member.threads for address, member in members.items()}
        dealt = assign(len(self.layout.ends), threads, held)
        dealt_to = {number: address for address, runs in dealt.items() for number in numbers(runs)}
        for start, stop in packed:
            present = (self.owners[number] for number in range(start, stop) if number in self.owners)
            dealt_to |= dict.fromkeys(range(start, stop), next(present, dealt_to[(start + stop) // 2]))
        shares: dict[str, list[int]] = {}
        for number in missing:
            shares.setdefault(dealt_to[number], []).append(number)
        return shares

    async def _load_on(self, address: str, mine: Sequence[int], progress: Progress) -> None:
        if not await self._or_lost(address, self._ask(address, ImagesPlugin.check_gpus)):
            return
        layout = pickle.dumps(self.layout)
        for number in mine:
            try:
                bad = await self._ask(address, ImagesPlugin.load, layout=layout, partition=number, turn=self._turn)
            except OSError as error:
                await self._lose(address, error)
                return
            self.bad |= dict(bad)
            self.owners[number] = address
            progress("partitions loaded", len(self.owners), len(self.layout.ends))

    async def _round(self, number: int) -> None:
        self._turn += 1
        message = {"layout": pickle.dumps(self.layout), "number": number, "owners": self.owners}
        message |= {"turn": self._turn, "step_timeout": self._step_timeout}
        owners = set(self.owners.values())
        asks = (self._or_lost(one, self._ask(one, ImagesPlugin.shuffle, **message)) for one in owners)
        if not all(await asyncio.gather(*asks)) or await self._missing():
            await self._settle(number + 1)

    async def _settle(self, rounds: int) -> None:
        """Have each partition on one worker, as it is after so many rounds: what is there stays, all else is made."""
        for failures in itertools.count():
            self._checked(failures)
            self._turn += 1
            for address, mine in self._shares(await self._missing()).items():
                self.owners |= dict.fromkeys(mine, address)
            asks = (self._settle_on(address, rounds) for address in set(self.owners.values()))
            if all(await asyncio.gather(*asks)) and not await self._missing():
                return

    async def _settle_on(self, address: str, rounds: int) -> bool:
        mine = sorted(number for number, its in self.owners.items() if its == address)
        message = {"layout": pickle.dumps(self.layout), "rounds": rounds, "partitions": mine, "turn": self._turn}
        return await self._or_lost(address, self._ask(address, ImagesPlugin.settle, **message))

    async def _or_lost(self, address: str, work: Coroutine[Any, Any, Any]) -> bool:
        """Return whether a worker has done what was asked; one that is gone is no member any more."""
        try:
            return await work is not False  # None: a call without an answer
        except OSError as error:
            await self._lose(address, error)
            return False

    async def _lose(self, address: str, error: OSError) -> None:
        if isinstance(error, FrozenError):
            self._error = f"worker {address} {error} ({spelled(argument('step_timeout'))})"
            await self._membership.evict(address)
        else:
            self._error = f"worker {address} is gone: {error}"
            self._membership.fail(address)
        log.warning("%s; the others go on without it", self._error)

    def _checked(self, failures: int) -> int:
        """Return the number of attempts in a row that failed.

        Raises:
            ClusterError: there were too many.
        """
        if failures > MAX_FAILURES:
            raise ClusterError(f"{failures} attempts in a row to load images failed; the last: {self._error}")
        return failures

    async def _ask(self, address: str, method: Callable[..., Coroutine[Any, Any, T]], **message: Any) -> T:
        """Call a method of the plugin on a worker, which answers others meanwhile.

        Raises:
            FrozenError: it does not.
            OSError: it is gone.
        """
        rpc, key = self._client.rpc, self._plugin.key
        asked = call(rpc, key, address, method, **message)
        return await while_alive(asked, lambda: call(rpc, key, address, ImagesPlugin.ping), self._step_timeout)
