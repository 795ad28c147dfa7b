"""Many Dask workers in one process: `python -m benchmarks.scale.workers ADDRESS N` prints a line when all have joined.

Real workers of Dask's, on connections of their own, one thread each: scheduler and driver, in processes of theirs,
see no difference to as many pods. What is left out is what each does for itself alone: its monitor, profiler and HTTP.
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
    """Serve until the input ends."""
    address, count = sys.argv[1], int(sys.argv[2])
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    room = asyncio.Semaphore(AT_ONCE)

    async def join(name: int) -> Worker:
        async with room:
            return await Worker(address, nthreads=1, name=f"{os.getpid()}-{name}", memory_limit=0, heartbeat_interval="10s")

    workers = await asyncio.gather(*map(join, range(count)))
    print(len(workers), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await asyncio.gather(*(worker.close(nanny=False) for worker in workers), return_exceptions=True)


if __name__ == "__main__":
    with dask.config.set(SETTINGS):
        asyncio.run(main())
