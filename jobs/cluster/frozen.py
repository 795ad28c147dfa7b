"""Workers that do not answer, although the scheduler lists them: noticed by pings, and removed from the scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import NoReturn

from distributed import Client

from jobs.cluster.alive import PING_SECONDS
from jobs.cluster.membership import check_absence, unregister
from jobs.errors import argument, spelled

log = logging.getLogger(__name__)


async def evict_frozen(client: Client, limit: float, absence: float) -> NoReturn:
    """Have the scheduler remove each worker that does not answer, so that others get its tasks; until cancelled.

    Args:
        client: the client.
        limit: seconds that an answer may take.
        absence: seconds without any worker that are too many.

    Raises:
        ClusterError: there has been no worker for too long.
    """
    since = time.monotonic()
    while True:
        await asyncio.sleep(PING_SECONDS)
        with contextlib.suppress(OSError, RuntimeError):  # a scheduler that is gone: Dask waits for it
            workers = (await client.scheduler.identity(n_workers=-1))["workers"]
            since = time.monotonic() if workers else since
            await asyncio.gather(*(_evict_if_frozen(client, address, limit) for address in workers))
        # Also when the scheduler did not answer: `since` stands still then, so its absence ends by the same limit.
        check_absence(since, absence)


async def _evict_if_frozen(client: Client, address: str, limit: float) -> None:
    pinging = asyncio.ensure_future(client.rpc(address).identity())
    try:
        # Not `asyncio.timeout`: a connection that cannot be made in time is a TimeoutError, an OSError, too.
        if not (await asyncio.wait([pinging], timeout=limit))[0]:
            log.warning(
                "worker %s did not answer for %g s (%s); the others go on without it",
                address, limit, spelled(argument("step_timeout")),
            )  # fmt: skip
            await unregister(client, address)
    finally:
        pinging.cancel()
        # Also takes its exception: Python would log one that nobody has retrieved.
        await asyncio.gather(pinging, return_exceptions=True)
