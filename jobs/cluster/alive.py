"""Waiting for a worker's answer, however long its work takes, as long as the worker lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PING_SECONDS = 2.0
"""How long an answer may take before its worker is asked whether it lives, and again."""
QUIET_SECONDS = 30.0
"""How long a worker may be silent at least: it imports TensorFlow, say."""


class FrozenError(OSError):
    """A worker that does not even answer a ping."""


async def while_alive(work: Coroutine[Any, Any, T], ping: Callable[[], Coroutine[Any, Any, None]], limit: float) -> T:
    """Return what a worker answers.

    Args:
        work: the call.
        ping: makes a call of the same worker that takes no time.
        limit: seconds that it may take nevertheless.

    Raises:
        FrozenError: it took longer.
    """
    working = asyncio.ensure_future(work)
    try:
        # Not `wait_for`: at each timeout that would cancel the call itself.
        while not (await asyncio.wait([working], timeout=PING_SECONDS))[0]:
            # By another connection: the pool lends the call's to nobody until it has ended.
            pinging = asyncio.ensure_future(ping())
            done, _ = await asyncio.wait([working, pinging], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            pinging.cancel()
            # A ping that raises is no verdict: where the worker is gone, the call's own connection breaks too.
            await asyncio.gather(pinging, return_exceptions=True)
            if not done:
                raise FrozenError(f"did not answer for {limit:g} s")
        return working.result()
    finally:
        cancel(working)


def cancel(work: asyncio.Future[Any]) -> None:
    """Cancel work, or leave it where it has ended; its error, if it has one, is nobody's."""
    work.cancel()
    # A connection that breaks by the cancellation is an error that nobody asks for: Python would print it.
    work.add_done_callback(lambda task: task.cancelled() or task.exception())


async def boxed(work: Awaitable[T]) -> tuple[T]:
    """Return an answer in a tuple, so that None is an answer too."""
    return (await work,)
