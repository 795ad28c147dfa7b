"""A scheduler in a process of its own: `python -m benchmarks.scale.scheduler` prints its address."""

from __future__ import annotations

import asyncio
import logging

from distributed import Scheduler


async def main() -> None:
    """Serve until it is killed."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()


if __name__ == "__main__":
    asyncio.run(main())
