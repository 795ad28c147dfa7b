"""The admission of new workers: each gets the plugin and is prepared, while the members go on with their work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from distributed import Client

from jobs.cluster.alive import FrozenError, cancel
from jobs.cluster.client_loss import Registration
from jobs.cluster.plugin import is_set_up
from jobs.errors import ClusterError

log = logging.getLogger(__name__)
PLUGIN_SECONDS = 30.0
"""Timeout of the plugin's setup on a new worker, and of a new worker's first answer."""
LISTED_SECONDS = 1.0
"""Period of checking with the scheduler that a worker that has not set its plugin up yet is still listed."""
Prepare = Callable[[str], Coroutine[Any, Any, object]]


class Admissions:
    """Workers that are on their way to be members; all runs on the client's event loop.

    Args:
        client: the client.
        registration: of the plugin that they must have.
        prepare: called with the address of each that has it.
        lost: called with the address of one that is gone.
        frozen: called with the address of one that does not answer.
    """

    def __init__(
        self,
        client: Client,
        registration: Registration,
        prepare: Prepare | None,
        *,
        lost: Callable[[str], None],
        frozen: Callable[[str], None],
    ) -> None:
        self._client, self._registration, self._prepare = client, registration, prepare
        self._lost, self._frozen = lost, frozen
        self._tasks: dict[str, asyncio.Task[bool]] = {}
        self._is_closed = False

    async def admitted(self, new: Mapping[str, str], *, wait: bool) -> set[str]:
        """Admit new workers, and return those of them that are ready.

        Args:
            new: address -> Dask's status of workers that are no members yet; who is not among them any more has left.
            wait: whether to wait for all of them; else their admission goes on until a later call finds it done.

        Raises:
            ClusterError: one did not set its plugin up.
            JobError: what `prepare` raised.
        """
        if self._prepare is None:
            return set(new)
        if self._is_closed:
            return set()
        for address in self._tasks.keys() - new.keys():
            self._tasks.pop(address).cancel()
        for address in new.keys() - self._tasks.keys():
            if new[address] != "init":  # such a one is still setting its plugins up
                self._tasks[address] = asyncio.create_task(self._admit(address, self._prepare))
        if wait and self._tasks:
            # Not `gather`: that would cancel all admissions where this call is cancelled, and raise the first error at
            # once.
            await asyncio.wait(self._tasks.values())
        return self._ready()

    def _ready(self) -> set[str]:
        """Return who is ready, of those whose admission has ended."""
        done = {address: task for address, task in self._tasks.items() if task.done()}
        for address in done:
            del self._tasks[address]  # also failed ones: a later call admits anew what is still listed
        ended = {address: task for address, task in done.items() if not task.cancelled()}
        errors = [task.exception() for task in ended.values()]  # of all: Python warns of one that is not asked for
        for error in errors:
            if error is not None:
                raise error
        return {address for address, task in ended.items() if task.result()}

    def give_up(self) -> None:
        """End all admissions."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks = {}

    async def close(self) -> None:
        """End all admissions, and begin no other."""
        self._is_closed = True
        tasks = list(self._tasks.values())
        self.give_up()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _admit(self, address: str, prepare: Prepare) -> bool:
        """Wait until a worker has the plugin, and prepare it; False if it is gone."""
        try:
            # Dask lists a worker a moment before its plugins are set up.
            await self._while_listed(address, self._wait_for_plugin(address))
            await prepare(address)
        # FrozenError is one too: its worker has been excluded, which noting it as lost does not take back.
        except OSError:
            self._lost(address)
            return False
        return True

    async def _while_listed(self, address: str, work: Coroutine[Any, Any, None]) -> None:
        """Wait for what a worker does; one that died would take 30 s, for which Dask tries to connect to it.

        Raises:
            OSError: the scheduler does not list it any more.
        """
        working = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait([working], timeout=LISTED_SECONDS))[0]:
                if not await self._client.scheduler.ncores(workers=[address]):
                    raise OSError(f"worker {address} is gone")
            await working
        finally:
            cancel(working)

    async def _wait_for_plugin(self, address: str) -> None:
        """Wait until a worker has set the plugin up.

        Raises:
            ClusterError: it does not.
            FrozenError: it does not answer.
        """
        deadline = time.monotonic() + PLUGIN_SECONDS
        # `is not True`: with on_error="return" the value may be an exception, which is truthy.
        while (await self._is_set_up(address)).get(address) is not True:
            if time.monotonic() > deadline:
                raise ClusterError(f"worker {address} did not set up its plugin in {PLUGIN_SECONDS:g} s")
            await asyncio.sleep(0.05)

    async def _is_set_up(self, address: str) -> dict[str, Any]:
        """Query one worker for the plugin; the result is address -> whether it has it, or why it did not answer.

        Raises:
            FrozenError: no answer in time.
        """
        # Not by a call of the plugin's: without its handler Dask would log a traceback on each worker that joins.
        asking = self._client.run(is_set_up, self._registration.name, workers=[address], on_error="return")
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                answer: dict[str, Any] = await asking
        except TimeoutError as error:
            frozen = FrozenError(f"did not answer for {PLUGIN_SECONDS:g} s")
            log.warning("worker %s %s; the others go on without it", address, frozen)
            self._frozen(address)
            raise frozen from error
        return answer
