"""Processes that freeze, fall silent or vanish while a worker joins, or as the work ends, delay no other for ever."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pods import Pods, free_port, pods_in
from proxy import Proxy

IMPATIENT = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
"""For workers: registration takes this long at most, instead of Dask's 30 s."""
NAMES = """
import pathlib, socket

real = socket.getaddrinfo

def resolve(host, *rest, **options):
    return real(pathlib.Path("address").read_text() if host == "fit-driver" else host, *rest, **options)

socket.getaddrinfo = resolve
"""
"""A sitecustomize by which the name `fit-driver` leads to the address in the file `address`."""


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    with pods_in(tmp_path) as pods:
        yield pods


def test_a_frozen_scheduler_is_waited_for(pods: Pods) -> None:
    """A scheduler that accepts connections and says nothing counts as none, until it answers again."""
    scheduler = pods.scheduler()
    pods.until("scheduler", '"event": "listening"')
    scheduler.send_signal(signal.SIGSTOP)
    leaving = pods.worker("leaving", "--lost-timeout", 3)
    pods.worker()
    pods.until("worker", "does not answer")
    assert leaving.wait(240) == 5
    scheduler.send_signal(signal.SIGCONT)
    pods.until("worker", '"event": "joined"')


def test_a_scheduler_that_falls_silent_while_a_worker_joins(pods: Pods) -> None:
    """A scheduler that says who it is, but then does not answer, is asked anew, for --lost-timeout at most."""
    pods.scheduler()
    pods.until("scheduler", '"event": "listening"')
    proxy = Proxy("127.0.0.1", 0, pods.port, "silent")
    address = f"tcp://127.0.0.1:{proxy.port}"
    leaving = pods.worker("leaving", "--lost-timeout", 3, address=address, **IMPATIENT)
    pods.worker(address=address, **IMPATIENT)
    assert leaving.wait(240) == 5
    assert "no scheduler for 3 s (--lost-timeout)" in pods.log("leaving")
    pods.until("worker", '"event": "not accepted"')
    proxy.fault = None
    pods.until("worker", '"event": "joined"')
    proxy.end()


def test_a_scheduler_killed_while_a_worker_joins(pods: Pods) -> None:
    """The worker looks the name up anew, and joins the next scheduler, whose pod has another address."""
    pods.scheduler()
    pods.until("scheduler", '"event": "listening"')
    (pods.folder / "sitecustomize.py").write_text(NAMES)
    path = os.pathsep.join([str(pods.folder), *sys.path])
    port = free_port()
    Proxy("127.0.0.2", port, pods.port, "killed")
    (pods.folder / "address").write_text("127.0.0.2")
    worker = pods.worker(address=f"tcp://fit-driver:{port}", PYTHONPATH=path, **IMPATIENT)
    pods.until("worker", '"event": "not accepted"')
    assert worker.poll() is None
    proxy = Proxy("127.0.0.3", port, pods.port)
    (pods.folder / "address").write_text("127.0.0.3")
    pods.until("worker", '"event": "joined"')
    proxy.end()


def test_a_driver_with_a_frozen_scheduler_ends(pods: Pods) -> None:
    """A driver whose scheduler accepts connections and says nothing ends with 3, though it can tell no worker."""
    scheduler = pods.scheduler()
    pods.until("scheduler", '"event": "listening"')
    scheduler.send_signal(signal.SIGSTOP)
    assert pods.driver({"connect_timeout": 2}).wait(240) == 3
    assert "no answer in 2 s" in pods.log("driver")
    assert "could not be told" in pods.log("driver")


def test_a_frozen_worker_does_not_keep_the_driver(pods: Pods) -> None:
    """The announcement that the work is over ends in bounded time where a worker cannot answer it."""
    pods.scheduler()
    worker = pods.worker()
    pods.until("worker", '"event": "joined"')
    worker.send_signal(signal.SIGSTOP)
    code = f"from jobs.pods.driver import announce_completion\nannounce_completion({pods.address!r}, 2.0)\n"
    (pods.folder / "announce.py").write_text(code)
    assert pods.start("announce", "announce").wait(240) == 0
    assert "could not be told" in pods.log("announce")
