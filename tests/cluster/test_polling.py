"""Waiting for the client's event loop while signals and deadlines are looked for."""

from __future__ import annotations

import asyncio
import threading

import pytest
from distributed import Client

from jobs.cluster.polling import run_polling
from jobs.errors import ClusterError, Stopped


def test_the_value_and_the_error_of_the_work(client: Client) -> None:
    """What the coroutine returns is returned, what it raises is raised; poll is called before it."""
    polls: list[str] = []

    async def work(*, fails: bool) -> str:
        assert polls
        if fails:
            raise TimeoutError("of its own")  # the class by which waiting in turns is told, too
        return threading.current_thread().name

    assert run_polling(client, work(fails=False), lambda: polls.append("x")) != threading.current_thread().name
    with pytest.raises(TimeoutError, match="of its own"):
        run_polling(client, work(fails=True), lambda: polls.append("x"))


@pytest.mark.parametrize("how", ["poll", "deadline"])
def test_what_ends_the_wait_cancels_the_work(how: str, client: Client) -> None:
    """A poll that raises, and a time that is over, end the wait at once; the coroutine does not go on."""
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def poll() -> None:
        if how == "poll" and begun.is_set():
            raise Stopped("enough")

    with pytest.raises(Stopped if how == "poll" else ClusterError, match="enough"):
        run_polling(client, work(), poll, timeout=0.0 if how == "deadline" else None, overdue="enough")
    assert cancelled.wait(30)
