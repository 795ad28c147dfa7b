"""Told by the scheduler when a driver is gone: its trials are given up, so that others may have the workers."""

from __future__ import annotations

import contextlib

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin


class CleanupOnClientLoss(SchedulerPlugin):  # type: ignore[misc]  # distributed is untyped here
    """Takes a study's plugin from all workers when the client that brought it has left, in order or killed.

    Args:
        key: the plugin's name.
        client: the client's identity.
    """

    def __init__(self, key: str, client: str) -> None:
        self.name = self._key = key
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called by Dask on the scheduler's event loop."""
        if client == self._client:
            scheduler.loop.add_callback(self._remove, scheduler)

    async def _remove(self, scheduler: Scheduler) -> None:
        with contextlib.suppress(ValueError):  # the driver did it itself
            scheduler.remove_plugin(self.name)
        with contextlib.suppress(ValueError, OSError):
            await scheduler.unregister_worker_plugin(comm=None, name=self._key)
