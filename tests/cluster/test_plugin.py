"""Calls of a worker plugin over Dask's own connections: values, errors as values, and workers that are gone."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator

import pytest
from calls import Calls
from distributed import Client, LocalCluster
from distributed.core import _expects_comm

from jobs.cluster.plugin import _Handler, call, is_set_up
from jobs.errors import DataError, UserCodeError


@pytest.fixture
def address(client: Client) -> Iterator[str]:
    """Yield the address of a worker that has the plugin."""
    client.register_plugin(Calls("here"), name="here-1")
    yield min(client.scheduler_info()["workers"])
    client.unregister_worker_plugin("here-1")


def test_a_call_returns_what_the_method_returns(client: Client, address: str) -> None:
    """A value comes back, also from a method that returns nothing."""
    assert client.sync(call, client.rpc, "here", address, Calls.add, a=2, b=3) == 5


@pytest.mark.parametrize("mine", [False, True])
def test_a_job_error_is_raised_where_the_call_was_made(mine: bool, client: Client, address: str) -> None:  # noqa: FBT001
    """With both its texts, as a class of our own: a user's subclass would be imported by whoever unpickles it."""
    with pytest.raises(DataError, match="row 7 is bad") as raised:
        client.sync(call, client.rpc, "here", address, Calls.fail, mine=mine)
    assert (type(raised.value), raised.value.details) == (DataError, "the details")


def test_what_is_not_an_exception_does_not_end_the_event_loop(client: Client, address: str) -> None:
    """SystemExit in a thread of the user's code is the user's error, and the worker goes on."""
    with pytest.raises(UserCodeError, match="the user's code raised SystemExit: 0"):
        client.sync(call, client.rpc, "here", address, Calls.leave)
    assert client.sync(call, client.rpc, "here", address, Calls.add, a=1, b=1) == 2


def test_a_heartbeat_that_a_scheduler_ends_is_no_traceback(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """Dask logs one with its traceback, and it closes the worker itself."""
    assert address
    log = logging.getLogger("distributed.worker")
    log.error("Failed to communicate with scheduler during heartbeat.")
    log.error("something else")
    assert "something else" in caplog.text
    assert "heartbeat" not in caplog.text


def test_a_worker_that_fails_or_lacks_the_plugin_is_gone(client: Client, address: str) -> None:
    """What is no JobError, and no answer at all, count as a lost connection."""
    with pytest.raises(OSError, match=f"worker {address} failed: ZeroDivisionError"):
        client.sync(call, client.rpc, "here", address, Calls.break_down)
    with pytest.raises(OSError, match=f"worker {address} is closing"):
        client.sync(call, client.rpc, "elsewhere", address, Calls.add, a=1, b=1)


def test_an_error_of_a_plugin_that_goes_counts_as_a_loss(client: Client, address: str) -> None:
    """A worker that closes in mid-call lets go what the call works with: that is no error of the work."""
    with pytest.raises(OSError, match=f"worker {address} is closing"):
        client.sync(call, client.rpc, "here", address, Calls.close_and_fail)


def test_public_coroutines_are_the_calls(cluster: LocalCluster, client: Client, address: str) -> None:
    """Each has a handler by the plugin's key, nothing else has; all go with the plugin."""
    (worker,) = [worker for worker in cluster.workers.values() if worker.address == address]
    assert {name for name in worker.handlers if name.startswith("here-")} == {
        f"here-{name}" for name in ("add", "fail", "leave", "break_down", "close_and_fail", "ping")
    }
    client.unregister_worker_plugin("here-1")
    assert not [name for name in worker.handlers if name.startswith("here-")]
    client.register_plugin(Calls("here"), name="here-1")


def test_a_removal_that_comes_late_leaves_the_next_registration_alone(client: Client, address: str) -> None:
    """Two registrations under one key: when the first is removed after the second came, calls reach the second."""
    client.register_plugin(Calls("here"), name="here-2")
    client.unregister_worker_plugin("here-1")
    assert client.sync(call, client.rpc, "here", address, Calls.add, a=1, b=2) == 3
    assert client.run(is_set_up, "here-2", workers=[address]) == {address: True}
    assert client.run(is_set_up, "here-1", workers=[address]) == {address: False}
    client.register_plugin(Calls("there"), name="here-1")  # for the fixture to take away
    client.unregister_worker_plugin("here-2")


def test_a_plugin_that_is_taken_away_is_garbage(cluster: LocalCluster, client: Client) -> None:
    """Drivers come and go on a shared cluster: no plugin that was called stays on the workers, whatever Dask caches."""
    left = []
    for key in ("one", "two", "three"):
        client.register_plugin(Calls(key), name=key)
        left += [weakref.ref(worker.plugins[key]) for worker in cluster.workers.values()]
        for address in client.scheduler_info()["workers"]:
            assert client.sync(call, client.rpc, key, address, Calls.add, a=2, b=3) == 5
            with pytest.raises(DataError):
                client.sync(call, client.rpc, key, address, Calls.fail, mine=False)
        client.unregister_worker_plugin(key)
    gc.collect()
    assert [ref() for ref in left] == [None] * 6
    misses = _expects_comm.cache_info().misses
    _expects_comm(_Handler(Calls("four"), "add"))
    assert _expects_comm.cache_info().misses == misses  # Dask's cache has one handler for all
