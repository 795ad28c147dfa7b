"""Cleaning up after a driver that vanished: the scheduler takes its plugin from the workers, data and all."""

from __future__ import annotations

import contextlib

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin


class CleanupOnClientLoss(SchedulerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """Takes a worker plugin from all workers when the client that registered it has left, in order or killed.

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
            # Not now: Dask is iterating over its plugins, of which this takes one away.
            scheduler.loop.add_callback(self._remove, scheduler)

    async def _remove(self, scheduler: Scheduler) -> None:
        with contextlib.suppress(ValueError):  # the driver has done it itself
            scheduler.remove_plugin(self.name)
        # OSError: a worker that ends meanwhile takes all it has along. Dask has asked the others at the same time.
        with contextlib.suppress(ValueError, OSError):
            await scheduler.unregister_worker_plugin(comm=None, name=self.name)
