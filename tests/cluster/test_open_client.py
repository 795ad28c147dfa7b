"""connect without `with`: a client that has the workers it started, until it is closed or the program ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import psutil
import pytest
from distributed import Client
from waiting import until

from jobs import connect
from jobs.errors import ClusterError
from jobs.formatting import plural

SETTINGS = """import dask, distributed
from jobs import connect
def as_before():
    return dask.config.get("distributed.deploy.lost-worker-timeout") == before
before = dask.config.get("distributed.deploy.lost-worker-timeout")
seen = [as_before()]
first, second = connect(workers=1), connect(workers=1)
seen.append(as_before())
first.close()
seen.append(as_before())
second.close()
print(*seen, as_before())
"""
LEFT_OPEN = """import os
from jobs import connect
client = connect(workers=1)
(worker,) = client.run(os.getpid).values()
print(worker)
"""

INTERRUPTED = """import asyncio, os, signal, socket, threading
from jobs import connect
silent = socket.create_server(("127.0.0.1", 0))
def interrupt():
    silent.accept()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
async def cell():
    connect(f"tcp://127.0.0.1:{silent.getsockname()[1]}", connect_timeout=1e6)
loop = asyncio.new_event_loop()  # without the handler of asyncio.run, as in a kernel
try:
    loop.run_until_complete(cell())
except KeyboardInterrupt:
    print("interrupted")
"""


def _gone(process: int) -> bool:
    return not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE


def test_a_client_closes_what_it_has_started() -> None:
    """Two calls start two clusters; closing one, twice too, ends its workers, and leaves the other."""
    first, second = connect(workers=1), connect(workers=1)
    try:
        assert isinstance(first, Client)
        assert first.scheduler.address != second.scheduler.address
        (lost,), (kept,) = ({*client.run(os.getpid).values()} for client in (first, second))
        started = f"{plural(1, 'worker')} on this machine"
        assert repr(second) == f"<Client of {started}: {second.scheduler.address}; close() ends them>"
        first.close()
        first.close()
        until(lambda: _gone(lost))
        assert repr(first) == "<Client: closed>"
        assert set(second.run(os.getpid).values()) == {kept}
    finally:
        first.close()
        second.close()


def test_settings_hold_until_the_last_client_is_closed() -> None:
    """Whichever is closed first; then they are as before."""
    done = subprocess.run([sys.executable, "-c", SETTINGS], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True False False True\n", done.stderr


def test_a_client_of_another_cluster_leaves_it() -> None:
    """One that has started nothing closes nothing but itself, and says whose scheduler it has."""
    with connect(workers=1) as owner:
        client = connect(owner.scheduler.address)
        assert repr(client) == f"<Client of the scheduler {owner.scheduler.address}, 1 worker>"
        client.close()
        assert owner.submit(sum, [1, 2]).result() == 3


def test_a_program_that_closes_nothing_ends_its_workers() -> None:
    """At the end of the program they are ended in order, without a word."""
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    until(lambda: _gone(int(done.stdout)))


def test_within_a_running_event_loop() -> None:
    """A notebook's cell runs in one; there an address is asked for an answer as anywhere."""

    async def cell(address: str) -> int:
        with connect(address) as client:
            return int(client.submit(sum, [1, 2]).result())

    async def nobody() -> None:
        connect("tcp://127.0.0.1:1", connect_timeout=5)

    with connect(workers=1) as owner:
        assert asyncio.run(cell(owner.scheduler.address)) == 3
    with pytest.raises(ClusterError, match="no answer"):
        asyncio.run(nobody())


def test_an_interrupt_within_a_running_event_loop() -> None:
    """It ends the wait for a scheduler that accepts and never answers."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "interrupted\n", done.stderr
