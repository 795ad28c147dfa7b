"""The worker's process in a pod: how it leaves, gives up, and whom it joins."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import write_certificates
from pods import Pods
from slow_release import SLOW, expected, optimum

import jobs.pods.worker
from jobs import connect
from jobs.errors import ClusterError


def test_sigterm_retires_a_worker(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM on one of two workers in mid-run: it leaves with 143, and the other does its part."""
    pods.scheduler()
    leaving, staying = pods.worker("leaving"), pods.worker("staying")
    driver = pods.driver({**SLOW, "workers": 2})
    pods.until("driver", '"attempt": 1')
    leaving.send_signal(signal.SIGTERM)
    assert leaving.wait(240) == 143, pods.log("leaving")
    assert driver.wait(240) == 0, pods.log("driver")
    assert staying.wait(240) == 0
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


def test_sigterm_before_there_is_a_scheduler(pods: Pods) -> None:
    """A worker that still waits for its scheduler leaves at once."""
    worker = pods.worker()
    pods.until("worker", '"event": "waiting"')
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(240) == 143


def test_a_worker_gives_up(pods: Pods) -> None:
    """Without a scheduler for --lost-timeout a worker ends with 5; a time that has run before a restart counts."""
    worker = pods.worker("worker", "--lost-timeout", 3)
    assert worker.wait(240) == 5
    assert "no scheduler for 3 s (--lost-timeout)" in pods.log("worker")
    scheduler, worker = pods.scheduler(), pods.worker("other", "--lost-timeout", 3)
    pods.until("other", '"event": "joined"')
    scheduler.kill()
    assert worker.wait(240) == 5
    assert '"event": "lost"' in pods.log("other")


def test_another_release_is_not_joined(pods: Pods) -> None:
    """A scheduler of another identity, at an address that was this release's, gets no worker."""
    pods.scheduler("space/other/2")
    worker = pods.worker("worker", "--lost-timeout", 8)
    pods.until("worker", "is the scheduler of 'space/other/2', not of 'space/fit/1'")
    assert worker.wait(240) == 5
    assert "joined" not in pods.log("worker")


def test_mistakes_are_one_line(pods: Pods) -> None:
    """Bad options of worker and scheduler exit with 2 and one line."""
    assert pods.start("a", "jobs.pods.worker", "--scheduler", "tcp://x:1", "--threads", "0").wait(240) == 2
    assert pods.log("a") == "dask-jobs: error: --threads is '0', but must be greater than 0\n"
    assert pods.start("b", "jobs.pods.scheduler", "--prt", "1").wait(240) == 2
    assert "--prt: there is no such option; did you mean '--port'?" in pods.log("b")


def _talk_without_certificate(pods: Pods, authority: Path) -> None:
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    with context.wrap_socket(socket.create_connection(("127.0.0.1", pods.port))) as bare:
        bare.sendall(b"anything")
        bare.recv(1)


def test_tls(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TLS a job ends as ever, and the scheduler answers neither plain TCP nor a client without a certificate."""
    files = write_certificates(pods.folder)
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    environment = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True", f"{tls}CA_FILE": str(files["ca.crt"])}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        environment |= {f"{tls}{role}__CERT": str(files["tls.crt"]), f"{tls}{role}__KEY": str(files["tls.key"])}
    address = f"tls://127.0.0.1:{pods.port}"
    pods.scheduler(**environment)
    worker = pods.worker(**environment, address=address)
    pods.until("worker", '"event": "joined"')
    with pytest.raises(ClusterError, match="no answer"), connect(pods.address, connect_timeout=2):
        pass
    with pytest.raises(ssl.SSLError, match="EOF|certificate required|handshake failure"):
        _talk_without_certificate(pods, files["ca.crt"])
    assert pods.driver({**SLOW, "scheduler": address}, **environment).wait(240) == 0, pods.log("driver")
    assert worker.wait(240) == 0
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


def test_of_two_addresses_the_living_one_is_joined(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a scheduler that was replaced leads to a dead address first, for a while: the other is found."""
    pods.scheduler()
    pods.until("scheduler", '"event": "listening"')
    hosts = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, pods.port)) for host in ("127.0.0.9", "127.0.0.1")]

    async def two_hosts(*_: object, **__: object) -> list[Any]:
        return hosts

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", two_hosts)
    monkeypatch.setattr(jobs.pods.worker, "_ask", partial(_only, "127.0.0.1", jobs.pods.worker._ask))
    options = jobs.pods.worker.Options(scheduler=f"tcp://fit-driver:{pods.port}", id="space/fit/1")
    assert asyncio.run(jobs.pods.worker._resolve(options)) == (f"tcp://127.0.0.1:{pods.port}", "")


async def _only(living: str, ask: Callable[..., Any], address: str, identity: str) -> str | None:
    """Ask, as if there were nobody at other addresses: the scheduler listens on all of this machine."""
    return await ask(address, identity) if living in address else await ask("tcp://127.0.0.1:1", identity)
