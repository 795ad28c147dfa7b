"""Topics of Dask's scheduler, whose events it pushes to a client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from distributed import Client

SUBSCRIBE_SECONDS = 2.0
"""Timeout of a subscription."""
PROBE_SECONDS = 0.02
"""Interval of events that show whether the scheduler has it."""


async def subscribe(client: Client, handlers: Mapping[str, Callable[[tuple[float, Any]], None]]) -> None:
    """Subscribe to topics, topic -> handler, and return when the scheduler has the subscriptions.

    Dask sends them in batches, by another connection than calls: what a call that came after them brings about could be
    an event before them, which is lost. A scheduler that is gone, or does not answer in time, is not an error here.
    """
    arrived, probe = asyncio.Event(), f"subscribed-{client.id}"
    deadline = time.monotonic() + SUBSCRIBE_SECONDS
    # The last one: subscriptions arrive in their order.
    for topic, handler in {**handlers, probe: lambda _: arrived.set()}.items():
        client.subscribe_topic(topic, handler)
    with contextlib.suppress(OSError, RuntimeError):
        while not arrived.is_set() and time.monotonic() < deadline:
            await client.scheduler.log_event(topic=probe, msg="")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await arrived.wait()
    with contextlib.suppress(OSError, ValueError):
        client.unsubscribe_topic(probe)
