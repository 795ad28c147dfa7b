"""The admission of new workers: each gets the plugin and is prepared, while the members go on with their work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from distributed import Client
from distributed.protocol.pickle import dumps

from jobs.cluster.alive import FrozenError
from jobs.cluster.client_loss import Registration
from jobs.cluster.plugin import is_set_up
from jobs.errors import ClusterError

log = logging.getLogger(__name__)
PLUGIN_SECONDS = 30.0
"""Timeout of the plugin's setup on a new worker, and of a new worker's first answer."""
LISTED_SECONDS = 1.0
"""Period of checking with the scheduler that workers that are waited for are still listed."""
AT_ONCE = 128
"""Workers that are asked for the plugin at a time: an evaluation's messages wait behind theirs."""
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
        self._room = asyncio.Semaphore(AT_ONCE)
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
        if wait:
            await self._ended()
        return self._ready()

    async def _ended(self) -> None:
        """Wait for all admissions, but for those of workers that die: for 30 s Dask would try to connect to each."""
        # Not `gather`: that would cancel all where this call is cancelled, and raise the first error at once.
        while pending := [task for task in self._tasks.values() if not task.done()]:
            ended, _ = await asyncio.wait(pending, timeout=LISTED_SECONDS)
            if len(ended) == len(pending):
                return
            with contextlib.suppress(OSError, RuntimeError):  # a scheduler that is gone: all calls end by themselves
                listed = await self._client.scheduler.ncores()
                for address in [address for address in self._tasks if address not in listed]:
                    self._tasks.pop(address).cancel()
                    self._lost(address)

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
            await self._wait_for_plugin(address)
            await prepare(address)
        # FrozenError is one too: its worker has been excluded, which noting it as lost does not take back.
        except OSError:
            self._lost(address)
            return False
        return True

    async def _wait_for_plugin(self, address: str) -> None:
        """Wait until a worker has set the plugin up.

        Raises:
            ClusterError: it does not.
            FrozenError: it does not answer.
            OSError: it is gone.
        """
        deadline = time.monotonic() + PLUGIN_SECONDS
        while not await self._is_set_up(address):
            if time.monotonic() > deadline:
                raise ClusterError(f"worker {address} did not set up its plugin in {PLUGIN_SECONDS:g} s")
            await asyncio.sleep(0.05)

    async def _is_set_up(self, address: str) -> bool:
        """Return whether a worker has the plugin.

        Raises:
            FrozenError: no answer in time.
            OSError: it is gone.
        """
        # Not by a call of the plugin's: without its handler Dask would log a traceback on each worker that joins. Nor
        # by `Client.run`: the scheduler would make a connection to each worker for it.
        message = {"function": dumps(is_set_up), "args": dumps((self._registration.name,)), "kwargs": dumps({})}
        async with self._room:
            try:
                async with asyncio.timeout(PLUGIN_SECONDS):
                    reply = await self._client.rpc(address).run(**message)
            except TimeoutError as error:
                frozen = FrozenError(f"did not answer for {PLUGIN_SECONDS:g} s")
                log.warning("worker %s %s; the others go on without it", address, frozen)
                self._frozen(address)
                raise frozen from error
            except OSError:
                raise
            except Exception:  # noqa: BLE001  whatever it cannot import, say: it has no plugin
                return False
        return bool(reply["status"] == "OK" and reply["result"])
