"""Waiting for a coroutine on the client's event loop, while signals and deadlines are still handled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from distributed import Client

from jobs.errors import ClusterError

POLL_SECONDS = 0.4
"""Between two calls of `poll`: a little less than the half second that is promised."""
T = TypeVar("T")


def run_polling(
    client: Client,
    work: Coroutine[Any, Any, T],
    poll: Callable[[], None],
    *,
    timeout: float | None = None,
    overdue: str = "",
) -> T:
    """Run a coroutine on a client's event loop, calling `poll` first and at least twice per second while it lasts.

    Args:
        client: a synchronous client; this is not called on its event loop's thread.
        work: the coroutine, cancelled if this ends before it.
        poll: called in this thread; what it raises ends the wait.
        timeout: seconds that the work may take.
        overdue: the error's text when it takes longer.

    Raises:
        ClusterError: the time is over.
    """
    try:
        poll()
    except BaseException:
        work.close()  # else Python would warn of a coroutine that was never awaited
        raise
    # Not `client.sync`, which returns only when the work has ended.
    future = asyncio.run_coroutine_threadsafe(work, client.loop.asyncio_loop)
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            try:
                return future.result(timeout=POLL_SECONDS)
            except TimeoutError:
                # The work may have raised a TimeoutError of its own: the same class since Python 3.11.
                if future.done():
                    return future.result()
                if deadline is not None and time.monotonic() > deadline:
                    raise ClusterError(overdue) from None
            poll()
    finally:
        future.cancel()  # nothing where it is done; else the work would go on without its caller
