"""Many Dask workers in one process: `python -m benchmarks.scale.workers ADDRESS N` prints a line when all have joined.

Real workers of Dask's, of one thread each, on connections of their own: to the scheduler and the driver they are as
many pods. What is left out is what each does for itself alone: its monitor, its profiler, and most of its heartbeats.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import dask
from distributed import Worker

SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.worker.memory.monitor-interval": "60s",
}
AT_ONCE = 50


async def main() -> None:
    """Serve until the process is killed."""
    address, count = sys.argv[1], int(sys.argv[2])
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    room = asyncio.Semaphore(AT_ONCE)

    async def join(number: int) -> Worker:
        async with room:
            return await Worker(
                address, nthreads=1, name=f"{os.getpid()}-{number}", memory_limit=0, heartbeat_interval="10s"
            )

    workers = await asyncio.gather(*map(join, range(count)))
    print(len(workers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with dask.config.set(SETTINGS):
        asyncio.run(main())
