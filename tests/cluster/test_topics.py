"""Subscriptions to the scheduler's topics."""

from __future__ import annotations

from typing import Any

import pytest
from distributed import Client
from waiting import until

from jobs import connect
from jobs.cluster.topics import subscribe


def test_what_comes_after_a_subscription_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Dask sends the subscription late: its messages go in batches, calls by another connection."""
    send, heard = Client._send_to_scheduler, []

    def late(client: Client, message: dict[str, Any]) -> None:
        client.loop.call_later(0.3 if message["op"] == "subscribe-topic" else 0, send, client, message)

    with connect(workers=1) as client:
        monkeypatch.setattr(Client, "_send_to_scheduler", late)

        async def event() -> None:
            await subscribe(client, {"mine": lambda message: heard.append(message[1])})
            await client.scheduler.log_event(topic="mine", msg="first")

        client.sync(event)
        until(lambda: heard == ["first"])
