"""Which workers take part: those that the scheduler lists, that have the plugin, and that answered their last call."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client, fire_and_forget

from jobs.cluster.admission import Admissions
from jobs.cluster.client_loss import Registration
from jobs.cluster.plugin import CallPlugin
from jobs.errors import ClusterError, argument

REFRESH_SECONDS = 1.0
"""How old the list of workers may be before the scheduler is asked again."""
LIST_SECONDS = 10.0
"""How old the list of all that the scheduler knows of each worker may be, while nobody comes or goes."""
COOLDOWN_SECONDS = 2.0
"""How long a worker that failed a call is excluded although the scheduler still lists it."""
KEEPALIVE_SECONDS = 10.0
"""Period of empty tasks that reset the scheduler's idle-timeout, which counts tasks, not calls."""


@dataclass(frozen=True)
class Member:
    """A worker as the scheduler lists it.

    Attributes:
        threads: compute threads.
        gpus: GPUs that it declares, Dask's resource `GPU`.
        status: Dask's: init, running, paused (no new tasks, since memory is short), closing, ...
        since: `time.monotonic()` when it was first listed.
    """

    threads: int
    gpus: float
    status: str
    since: float


class Membership:
    """The workers of a cluster as one driver sees them, and its plugin on each, now and later.

    All coroutines, `fail` and `remove` run on the client's event loop; all else may be used in any thread. The plugin
    is registered anew with a scheduler that does not have it: one that was restarted, or one that saw this client's
    connection break, and cleaned up (see `client_loss`).

    Args:
        client: the client.
        plugin: the driver's.
        timeout: seconds without any worker that are too many.
        refresh_seconds: how old the list may be.
        prepare: called with the address of each new worker that has the plugin; it is a member when that has returned.
            Without it workers are members as soon as they are listed.
        keepalive: whether empty tasks reset the scheduler's idle-timeout, for a driver that submits no others.
        on_register: awaited before each registration.

    Attributes:
        generation: grows with each change of the members, their threads or GPUs: what was divided among the members, or
            connects them to each other, is made anew when it has grown.
    """

    def __init__(
        self,
        client: Client,
        plugin: CallPlugin,
        timeout: float,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        prepare: Callable[[str], Coroutine[Any, Any, object]] | None = None,
        keepalive: bool = False,
        on_register: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._client, self._timeout = client, timeout
        self._refresh_seconds, self._on_register = refresh_seconds, on_register
        self._keepalive = 0.0 if keepalive else float("inf")  # when the next empty task is due
        self._registration = Registration(client, plugin)
        self._current: dict[str, Member] = {}
        self._admissions = Admissions(client, self._registration, prepare, lost=self.fail, frozen=self.exclude)
        self._failed: dict[str, float] = {}
        self._excluded: set[str] = set()
        self._listed: dict[str, Member] = {}
        self._running: dict[str, int] = {}  # address -> threads, at the last full listing
        self._full_since = float("-inf")
        self._refreshed = float("-inf")
        self._absent_since = time.monotonic()
        self.generation = 0

    @property
    def members(self) -> Mapping[str, Member]:
        """Address -> member as of the last refresh."""
        return self._current

    @property
    def due(self) -> bool:
        """Whether it is time to refresh: the list is old, a member has failed, or the client has connected again."""
        return self._registration.due or time.monotonic() - self._refreshed > self._refresh_seconds

    async def current(self) -> Mapping[str, Member]:
        """Return address -> member of all members, waiting for the first if there is none.

        Raises:
            ClusterError: no worker in time, or the scheduler is gone.
            JobError: what `prepare` raised.
        """
        began = time.monotonic()
        while not self._current or self.due:
            await self.refresh()
            # Although `due` may still hold: a registration during which a worker died is retried at the next use.
            if self._current:
                break
            self.check(began)
            await asyncio.sleep(0.1)
        return self._current

    async def refresh(self) -> Mapping[str, Member]:
        """List the scheduler's workers, and return the members now.

        Where there are members, others are admitted meanwhile, and nobody waits until they are prepared.

        Raises:
            ClusterError: the scheduler is gone, or a new worker did not set its plugin up.
            InputError: a worker cannot take the plugin.
            JobError: what `prepare` raised.
        """
        listed = await self.listed()
        new = {address: member.status for address, member in listed.items() if address not in self._current}
        # Without members it waits for all: else the first to be ready would begin alone, with all of the work.
        admitted = await self._admissions.admitted(new, wait=not self._current)
        ready = self._current.keys() | admitted  # not before the `await`: one may have failed meanwhile
        self._set({address: member for address, member in listed.items() if address in ready})
        self._refreshed = time.monotonic()
        return self._current

    async def listed(self) -> dict[str, Member]:
        """Return address -> member of all workers that the scheduler lists and that did not just fail.

        Raises:
            ClusterError: the scheduler is gone.
            InputError: a worker cannot take the plugin.
        """
        try:
            identity = await self._client.scheduler.identity(n_workers=0)
        except (OSError, RuntimeError) as error:  # a client that gave up connecting again has closed its connections
            raise scheduler_gone(error) from error
        # While the client reconnects, the scheduler still removes what the lost connection registered: a registration
        # now could be removed with it.
        if self._client.status == "running":
            await self._register(identity["started"])
        workers = await self._workers(identity["n_workers"])
        now = time.monotonic()
        if now >= self._keepalive and workers:
            # Impure: a key of its own, hence a new task even while the scheduler still has the last one.
            fire_and_forget(self._client.submit(bool, pure=False))
            self._keepalive = now + KEEPALIVE_SECONDS
        self._failed = {address: when for address, when in self._failed.items() if now - when < COOLDOWN_SECONDS}
        out = self._failed.keys() | self._excluded
        return {address: worker for address, worker in workers.items() if address not in out} if out else workers

    async def _workers(self, count: int) -> dict[str, Member]:
        """Return address -> member of the workers that the scheduler lists, of which it has so many.

        Raises:
            ClusterError: the scheduler is gone.
        """
        try:
            running = await self._client.scheduler.ncores_running()
            # A list of all that it knows of each takes 40 times as long, for both: only where one is new, gone or not
            # running.
            same = running == self._running and count == len(running) == len(self._listed)
            # Now and then for resources, which a worker may declare at any time.
            if same and time.monotonic() - self._full_since < LIST_SECONDS:
                return self._listed
            identity = await self._client.scheduler.identity(n_workers=-1)
        except (OSError, RuntimeError) as error:
            raise scheduler_gone(error) from error
        now = self._full_since = time.monotonic()
        # Of this list, which may be newer: a worker that has been paused since is to be seen when it resumes.
        known = identity["workers"]
        self._running = {
            address: worker["nthreads"] for address, worker in known.items() if worker["status"] == "running"
        }
        self._listed = {
            address: Member(
                worker["nthreads"],
                float(worker["resources"].get("GPU", 0.0)),
                worker["status"],
                self._listed[address].since if address in self._listed else now,
            )
            for address, worker in sorted(known.items())
            # A paused one still answers calls.
            if worker["status"] in ("init", "running", "paused")
        }
        return self._listed

    def fail(self, address: str) -> None:
        """Exclude a member that failed a call for the cooldown, and list the scheduler's workers at the next use."""
        self._failed[address] = time.monotonic()
        self.remove(address)
        self._refreshed = float("-inf")

    def exclude(self, address: str) -> None:
        """Exclude a worker for good: it is listed, but does not answer, and would hold up who waits for it."""
        self._excluded.add(address)
        self.fail(address)

    async def evict(self, address: str) -> None:
        """Exclude a worker for good, and have the scheduler remove it, so that nothing else waits for it either."""
        self.exclude(address)
        await unregister(self._client, address)

    def remove(self, address: str) -> None:
        """Remove a worker that the scheduler reports as gone."""
        self._listed = {listed: what for listed, what in self._listed.items() if listed != address}
        self._set({member: what for member, what in self._current.items() if member != address})

    def check(self, since: float = float("-inf")) -> None:
        """Check that there is a member, or there was one not long ago.

        Args:
            since: `time.monotonic()` when the caller began to wait for one; an absence before that does not count.

        Raises:
            ClusterError: there has been none for too long.
        """
        if not self._current:
            check_absence(max(since, self._absent_since), self._timeout)

    def reregister(self) -> None:
        """Register the plugin once more at the next refresh: a worker has lost it."""
        self._registration.lapse()

    async def close(self) -> None:
        """Take the plugin from the scheduler and all workers; a cluster that is gone already is not an error."""
        await self._admissions.close()  # first: a call that came after the plugin has gone would be a traceback
        await self._registration.close()

    def _set(self, members: dict[str, Member]) -> None:
        before = self._current
        self._current = members
        # Its status is left out: a member that is paused for a moment, or resumes, keeps what it holds.
        if {a: (m.threads, m.gpus) for a, m in before.items()} != {a: (m.threads, m.gpus) for a, m in members.items()}:
            self.generation += 1
        if before and not members:
            self._absent_since = time.monotonic()

    async def _register(self, started: float) -> None:
        """Register the plugin with a scheduler that does not have it."""
        if not self._registration.is_known(started):
            self._listed = {}
            self._admissions.give_up()
            # A worker at a known address may be another process: none is known to have the plugin or any data.
            self._set({})
            if self._on_register:
                await self._on_register()
            await self._registration.register()


async def unregister(client: Client, address: str) -> None:
    """Have the scheduler remove a worker; one that is gone itself is noticed by who asks it next."""
    with contextlib.suppress(OSError, RuntimeError):
        # Not `retire_workers`, which first has the worker's data copied to others: one that is frozen sends none.
        await client.scheduler.unregister(address=address, stimulus_id="evicted")


def scheduler_gone(error: Exception) -> ClusterError:
    """Return the error for a scheduler that does not answer."""
    return ClusterError(f"the scheduler is gone: {error}")


def check_absence(since: float, timeout: float) -> None:
    """Check that a cluster has not been without workers for longer than `timeout` seconds.

    Args:
        since: `time.monotonic()` when there was the last one.
        timeout: seconds.

    Raises:
        ClusterError: it has.
    """
    if time.monotonic() - since > timeout:
        raise ClusterError(f"no worker for {timeout:g} s ({argument('workers_timeout')})")
