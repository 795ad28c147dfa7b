"""The workers that a job begins with: enough of them, all of which answer, and have the driver's software."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast

from distributed import Client

from jobs.cluster.alive import PING_SECONDS, QUIET_SECONDS, cancel
from jobs.cluster.membership import scheduler_gone, unregister
from jobs.cluster.plugin import ask
from jobs.cluster.polling import run_polling
from jobs.errors import InputError, Stopped, TooFewWorkers, argument, spelled

log = logging.getLogger(__name__)
CHECKED = ("numpy", "scipy", "dask", "distributed", "dask-jobs")
"""Packages that must have the driver's version on each worker: they decide bits, or the protocol."""
LOOK_SECONDS = 0.1
"""Between two looks at the scheduler's workers."""
TELL_SECONDS = 15.0
"""Between two messages on how many have come."""
REMEDY = "end its process, or start it anew"
T = TypeVar("T")


def versions() -> dict[str, str]:
    """Return package -> version of this process, for results and checks."""
    return {
        "python": "{}.{}.{}".format(*sys.version_info),
        **{name: importlib.metadata.version(name) for name in CHECKED},
    }


class Arrival:
    """Waits for the workers of a cluster before work begins.

    Args:
        client: a synchronous client.
        timeout: seconds to wait for enough workers, and for each one's answer, of which QUIET_SECONDS are enough.
        poll: called at least twice per second; what it raises ends the wait.
    """

    def __init__(self, client: Client, timeout: float, poll: Callable[[], None]) -> None:
        self._client, self._timeout, self._stop = client, timeout, poll
        self._began = time.monotonic()
        self._limit = min(QUIET_SECONDS, timeout)
        self._told = 0.0
        self._silent: set[str] = set()
        self._removed: list[str] = []

    def wait(self, count: int, degraded_start_after: float | None) -> None:
        """Wait for so many workers that answer; one that does not is removed from the scheduler.

        Args:
            count: how many.
            degraded_start_after: seconds after which one is enough, if so.

        Raises:
            InputError: one has other software versions.
            ClusterError: the scheduler is gone.
            TooFewWorkers: too few came in time.
            Stopped: as of `poll`, with the name of a worker that does not answer.
        """
        while True:
            self._wait_for(count, degraded_start_after)
            before = len(self._removed)
            for address, found in self._run(self._versions()).items():
                _check(address, found)
            if len(self._removed) == before:
                return

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_polling(self._client, work, self._poll)

    def _poll(self) -> None:
        try:
            self._stop()
        except Stopped as error:
            if not self._silent:
                raise
            raise Stopped(f"{error}; worker {min(self._silent)} does not answer: {REMEDY}") from error

    def _wait_for(self, count: int, degraded_start_after: float | None) -> None:
        # Unused, but not useless: an adaptive cluster starts no worker before a task is queued, and Dask cancels this
        # one when the last reference to its future is dropped, which is when this function returns.
        waiting = None if self._run(self._listed()) else self._client.submit(bool, pure=False)  # noqa: F841
        if degraded_start_after is not None and degraded_start_after < self._timeout:
            if self._run(self._running(count, degraded_start_after)) >= count:
                return
            count = 1
        there = self._run(self._running(count, self._timeout))
        if there < count:
            silent = f"worker {self._removed[0]} did not answer: {REMEDY}; or " if self._removed else ""
            raise TooFewWorkers(
                f"only {there} of {count} workers came in {self._timeout:g} s ({argument('workers_timeout')}); "
                f"{silent}start more, or ask for fewer ({argument('workers')})"
            )

    async def _listed(self, *, running: bool = False) -> list[str]:
        """Return the addresses of the workers; `running` leaves out those that Dask calls 'init' or 'paused'."""
        scheduler = self._client.scheduler
        try:
            return list(await (scheduler.ncores_running() if running else scheduler.ncores()))
        except (OSError, RuntimeError) as error:
            raise scheduler_gone(error) from error

    async def _running(self, count: int, seconds: float) -> int:
        """Return how many workers run: when they are enough, or so many seconds after the beginning."""
        while True:
            there = await self._listed(running=True)  # as `Client.wait_for_workers` counts
            waited = time.monotonic() - self._began
            if len(there) >= count or waited >= seconds:
                return len(there)
            if waited >= self._told + TELL_SECONDS:
                self._told = waited
                where = self._client.scheduler.address
                log.warning(
                    "%d of %d workers have come to %s in %.0f s; one more is started by: dask worker %s",
                    len(there), count, where, waited, where,
                )  # fmt: skip
            await asyncio.sleep(LOOK_SECONDS)

    async def _versions(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the software of each worker that answers, as Dask has it."""
        workers = await self._listed()
        # Each by itself: the scheduler answers `Client.get_versions` only when all of them have answered.
        answers = await asyncio.gather(*map(self._versions_of, workers))
        return {address: answer for address, answer in zip(workers, answers, strict=True) if answer}

    async def _versions_of(self, address: str) -> Mapping[str, Any] | None:
        """Return a worker's software; None if it is gone, or was removed because it does not answer."""
        asking = asyncio.ensure_future(ask(self._client.rpc, "versions", address, packages=list(CHECKED)))
        try:
            first = min(PING_SECONDS, self._limit)
            # Not `asyncio.timeout`: a connection that cannot be made in time is a TimeoutError, an OSError, too.
            if not (await asyncio.wait([asking], timeout=first))[0]:
                self._silent.add(address)
                log.warning("worker %s does not answer yet; the job waits for it up to %g s", address, self._limit)
                await asyncio.wait([asking], timeout=self._limit - first)
            if not asking.done():
                await self._remove(address)
                return None
            return None if asking.exception() else cast(Mapping[str, Any], asking.result())
        finally:
            self._silent.discard(address)
            cancel(asking)

    async def _remove(self, address: str) -> None:
        log.warning(
            "worker %s did not answer for %g s (%s); the others go on without it",
            address, self._limit, spelled(argument("workers_timeout")),
        )  # fmt: skip
        self._removed.append(address)
        # Also because the plugin of this driver, or of another, is set up on all workers before work begins.
        await unregister(self._client, address)


def _check(address: str, worker: Mapping[str, Any]) -> None:
    """Compare a worker's versions with this process's.

    Raises:
        InputError: a package differs, or is missing there.
    """
    # Dask's text goes on: 3.11.7.final.0.
    theirs = worker["packages"] | {"python": ".".join(worker["host"]["python"].split(".")[:3])}
    for package, version in versions().items():
        if theirs.get(package) != version:
            other = theirs.get(package) or "not installed"
            raise InputError(
                f"worker {address} has {package} {other}, but the driver has {version}: "
                "use the same image or environment for both"
            )
