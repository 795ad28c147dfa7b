"""A driver's plugin on a cluster: on all workers, now and later, until its driver takes it away, or vanishes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from distributed import Client, Scheduler
from distributed.core import clean_exception
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

from jobs.cluster.plugin import CallPlugin
from jobs.errors import InputError

REGISTER_SECONDS = 2.0
"""Timeout of a registration: the scheduler answers after all workers have, and one of them may be frozen."""


class Registration:
    """Registers a plugin together with its removal on client loss; used on the client's event loop.

    Args:
        client: the client.
        plugin: the driver's.
    """

    def __init__(self, client: Client, plugin: CallPlugin) -> None:
        self._client, self._plugin = client, plugin
        self._scheduler: tuple[float, object] | None = None  # its start and our connection to it
        self._count, self._done = 0, False

    @property
    def name(self) -> str:
        """The name that the plugin is registered by.

        Each connection has its own: when one breaks and is made again at once, the scheduler's removal of the earlier
        registration may reach a worker after the later one.
        """
        return f"{self._plugin.key}-{self._count}"

    @property
    def due(self) -> bool:
        """Whether the plugin is to be registered, by local state alone; a restarted scheduler shows in `is_known`."""
        connected = self._client.status == "running"
        # By identity: a client that has connected again has a new `scheduler_comm`, to the same address.
        return not self._done or (connected and self._client.scheduler_comm is not self._connection)

    @property
    def _connection(self) -> object:
        return self._scheduler and self._scheduler[1]

    def lapse(self) -> None:
        """Let the plugin be registered once more: a worker has lost it."""
        self._done = False

    def is_known(self, started: float) -> bool:
        """Return whether a scheduler, by its start, has the plugin.

        One that was restarted has not; nor has one to which the client has reconnected: for it the client was lost, and
        it cleaned up.
        """
        scheduler = (started, self._client.scheduler_comm)
        if scheduler != self._scheduler:
            self._scheduler, self._done = scheduler, False
            self._count += 1
        return self._done

    async def register(self) -> None:
        """Register the plugin with the scheduler that `is_known` was asked about.

        Raises:
            InputError: a worker cannot take it.
        """
        scheduler = self._client.scheduler
        # The cleanup comes first: a driver that is killed between the two would leave its plugin behind. A scheduler
        # without this package cannot have it, and cleans nothing up; all else works there.
        cleanup = dumps(CleanupOnClientLoss(self.name, self._client.id))
        with contextlib.suppress(Exception):
            await _briefly(scheduler.register_scheduler_plugin(plugin=cleanup, name=self.name, idempotent=False))
        plugin = dumps(self._plugin)
        # Where a worker dies meanwhile the scheduler answers with that worker's OSError. The registration stays due,
        # hence is retried at the next refresh; workers that have the plugin already replace it.
        with contextlib.suppress(OSError):
            # Not idempotent: under a name that it knows the scheduler would then do nothing, but a worker may have lost
            # it.
            answers = await _briefly(scheduler.register_worker_plugin(plugin=plugin, name=self.name, idempotent=False))
            self._check(answers or {})
            # Also after a timeout: the scheduler registers it all the same, for workers to come too, and membership
            # checks each new worker for it.
            self._done = True

    def _check(self, answers: dict[str, Any]) -> None:
        for address, answer in answers.items():
            if answer["status"] == "error":
                _, error, _ = clean_exception(answer["exception"], answer["traceback"])
                purpose = self._plugin.purpose
                raise InputError(f"worker {address} cannot {purpose} ({error}); is dask-jobs installed there?")

    async def close(self) -> None:
        """Take the plugin from the scheduler and all workers; a cluster that is gone already is not an error."""
        # Not running: the connection is lost, and with it the scheduler cleans up by itself.
        if self._scheduler is None or self._client.status != "running":
            return
        scheduler = self._client.scheduler
        with contextlib.suppress(Exception):  # a scheduler without this package never had it
            await _briefly(scheduler.unregister_scheduler_plugin(name=self.name))
        with contextlib.suppress(OSError, ValueError):  # a worker or scheduler that dies takes its data along
            await _briefly(scheduler.unregister_worker_plugin(name=self.name))


async def _briefly(call: Coroutine[Any, Any, Any]) -> Any:
    """Wait for the scheduler's answer up to a timeout, then return None; the scheduler still completes the call."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REGISTER_SECONDS):
            return await call
    return None


class CleanupOnClientLoss(SchedulerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """Unregisters a worker plugin on all workers when the client that registered it has left, in order or killed.

    Its teardown on each worker frees what the driver had there: minimize's blocks, tune's running trials.

    Args:
        name: the name that the worker plugin is registered by, and this one too.
        client: the client's identity.
    """

    def __init__(self, name: str, client: str) -> None:
        self.name = name
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called by Dask on the scheduler's event loop, for each client that leaves."""
        if client == self._client:
            # Not here: Dask is iterating over its scheduler plugins, from which the callback removes one.
            scheduler.loop.add_callback(self._remove, scheduler)

    async def _remove(self, scheduler: Scheduler) -> None:
        with contextlib.suppress(ValueError):  # the driver has done it itself
            scheduler.remove_plugin(self.name)
        # OSError: a worker that ends meanwhile frees its data with its process; Dask sends to the others concurrently.
        with contextlib.suppress(ValueError, OSError):
            await scheduler.unregister_worker_plugin(comm=None, name=self.name)
