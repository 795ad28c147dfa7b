"""Which workers can be asked now: those that the scheduler lists, that answered the last call, and have the plugin."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import time
from typing import Any

from distributed import Client, fire_and_forget

from jobs.errors import ClusterError, JobError, argument
from jobs.minimize.evaluate.worker import ShardPlugin, ask, has_plugin

REFRESH_SECONDS = 1.0
"""How old the list of workers may be before the scheduler is asked again."""
DISTRUST_SECONDS = 2.0
"""How long a worker that failed a call is left out although the scheduler still lists it."""
AWAKE_SECONDS = 10.0
"""How often an empty task tells the scheduler that it is in use: its idle-timeout counts tasks, not evaluations."""
PLUGIN_SECONDS = 30.0
"""How long a new worker may take to set the plugin up."""


class Members:
    """The workers of a cluster as one objective sees them; runs on the client's event loop.

    Args:
        client: the client.
        plugin: the objective's plugin, registered with each scheduler that this one meets: one that was restarted in
        the meantime knows nothing of it.
        timeout: seconds to wait while there is no worker.
    """

    def __init__(self, client: Client, plugin: ShardPlugin, timeout: float) -> None:
        self._client, self._plugin, self._timeout = client, plugin, timeout
        self._key = plugin.key
        self._scheduler: float | None = None
        self._current: dict[str, int] = {}
        self._failed: dict[str, float] = {}
        self._asked = -REFRESH_SECONDS
        self._awake = 0.0

    async def current(self) -> dict[str, int]:
        """Return address -> compute threads of the workers to ask, waiting for the first if there is none.

        Raises:
            ClusterError: no worker in time, or the scheduler is gone.
            InputError, UserCodeError: a new worker cannot make the problem.
        """
        deadline = time.monotonic() + self._timeout
        while not self._current or time.monotonic() - self._asked > REFRESH_SECONDS:
            listed = await self.listed()
            new = [address for address in listed if address not in self._current]
            welcome = await asyncio.gather(*(self._welcome(address) for address in new))
            ready = self._current.keys() | {address for address, ok in zip(new, welcome, strict=True) if ok}
            self._current = {address: threads for address, threads in listed.items() if address in ready}
            self._asked = time.monotonic()
            if self._current:
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"no worker for {self._timeout:g} s ({argument('workers_timeout')})")
            await asyncio.sleep(0.1)
        return self._current

    async def listed(self) -> dict[str, int]:
        """Return address -> compute threads of all workers that the scheduler lists and that did not just fail.

        Raises:
            ClusterError: the scheduler is gone.
        """
        try:
            identity = await self._client.scheduler.identity(n_workers=-1)
        except OSError as error:
            raise ClusterError(f"the scheduler is gone: {error}") from error
        if identity["started"] != self._scheduler:
            with contextlib.suppress(OSError):  # a worker that dies meanwhile; once more the next time
                await self._client.register_plugin(self._plugin)
                self._scheduler = identity["started"]
        now = time.monotonic()
        if now - self._awake > AWAKE_SECONDS and identity["workers"]:
            fire_and_forget(self._client.submit(bool, pure=False))
            self._awake = now
        self._failed = {address: when for address, when in self._failed.items() if now - when < DISTRUST_SECONDS}
        return {
            address: worker["nthreads"]
            for address, worker in sorted(identity["workers"].items())
            if address not in self._failed and worker["status"] in ("running", "paused")
        }

    def fail(self, address: str) -> None:
        """Leave a worker out that did not answer, and ask the scheduler who is there."""
        self._current = {member: threads for member, threads in self._current.items() if member != address}
        self._failed[address] = time.monotonic()
        self._asked = -REFRESH_SECONDS

    async def _welcome(self, address: str) -> bool:
        """Wait until a new worker has the plugin (Dask lists it a moment before) and the problem; False if it left."""
        deadline = time.monotonic() + PLUGIN_SECONDS
        try:
            while (await self._run(address)).get(address) is not True:
                if time.monotonic() > deadline:
                    raise ClusterError(f"worker {address} did not set up its plugin in {PLUGIN_SECONDS:g} s")
                await asyncio.sleep(0.05)
            reply = await ask(self._client.rpc, f"{self._key}-prepare", address)
        except OSError:
            self._failed[address] = time.monotonic()
            return False
        if "error" in reply:
            error: JobError = pickle.loads(reply["error"])  # noqa: S301  from our own worker
            raise type(error)(f"worker {address}: {error}", error.details)
        return True

    async def _run(self, address: str) -> dict[str, Any]:
        """Ask one worker whether it has the plugin; no answer from one that is gone."""
        answer: dict[str, Any] = await self._client.run(has_plugin, self._key, workers=[address], on_error="return")
        return answer
