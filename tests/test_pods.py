"""The worker, scheduler and driver processes of a release: when each ends, with which exit code, and what survives."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import write_certificates
from distributed import Client
from pods import Pods, pods_in

import jobs.pods.worker
from jobs import connect
from jobs.errors import ClusterError, TooFewWorkers
from jobs.minimize.job import run
from jobs.minimize.options import Options

SLOW = {"problem": "slow:problem"}
PROBLEM = """
import os, time
import numpy as np

class Slow:
    rows, block_rows = 400, 100

    def x0(self):
        return np.zeros(6)

    def load(self, start, stop):
        return np.random.default_rng(start).normal(size=(stop - start, 6))

    def value_and_grad(self, theta, data):
        time.sleep(0.03)
        residual = np.tanh(data @ theta) - data[:, 0]
        return float(residual @ residual), 2 * data.T @ (residual * (1 - np.tanh(data @ theta) ** 2))

problem = Slow
"""


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    (tmp_path / "slow.py").write_text(PROBLEM)
    with pods_in(tmp_path) as pods:
        yield pods


def _optimum(folder: Path) -> np.ndarray:
    return np.load(folder / "x.npy")


def _expected(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Return what one process finds without a cluster and without a fault."""
    monkeypatch.syspath_prepend(str(pods.folder))
    run(Options(**SLOW, run=str(pods.folder / "local"), workers=0))
    return _optimum(pods.folder / "local")


def test_all_end_with_0(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is done ends driver and workers with code 0, and its result has the bits of a local run."""
    pods.scheduler()
    workers = [pods.worker("first"), pods.worker("second", "--threads", 2, "--memory-limit", 2**30)]
    driver = pods.driver({**SLOW, "workers": 2})
    assert driver.wait(240) == 0, pods.log("driver")
    assert [worker.wait(240) for worker in workers] == [0, 0]
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


def test_warnings_in_a_pod_are_json_lines(pods: Pods) -> None:
    """What a worker's libraries log and warn of is in its JSON lines; what user code prints is as it is."""
    noisy = "logging.getLogger('distributed.worker').warning('short of memory'); warnings.warn('careful')\n        "
    noisy += "print('a print'); sys.stderr.write('an error\\n')\n        return np.random"
    code = PROBLEM.replace("import os, time", "import logging, os, sys, time, warnings")
    (pods.folder / "slow.py").write_text(code.replace("return np.random", noisy))
    pods.scheduler()
    worker, driver = pods.worker(), pods.driver(SLOW)
    assert driver.wait(60) == 0, pods.log("driver")
    assert worker.wait(20) == 0
    lines = pods.log("worker").splitlines()
    records = [fields for line in lines if line.startswith("{") and "logger" in (fields := json.loads(line))]
    # On a busy machine Dask may have more to say, such as of a connection that ended with the driver.
    assert {(one["job"], one["event"], one["logger"]) for one in records} >= {
        ("worker", "warning", "distributed.worker"),
        ("worker", "warning", "py.warnings"),
    }
    assert {one["job"] for one in records} == {"worker"}
    assert {"short of memory"} < {one["message"] for one in records}
    assert {line for line in lines if not line.startswith("{")} == {"a print", "an error"}


def test_a_lost_scheduler_is_followed(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of scheduler and driver in mid-run: the worker joins the next ones as a fresh process, bits as ever."""
    scheduler, worker = pods.scheduler(), pods.worker()
    driver = pods.driver(SLOW)
    pods.until("driver", '"attempt": 1')
    driver.kill()
    scheduler.kill()
    pods.until("worker", '"event": "lost"')
    pods.scheduler()
    pods.until("worker", '"event": "joined"', 2)
    driver = pods.driver(SLOW)
    assert driver.wait(240) == 0, pods.log("driver")
    assert worker.wait(240) == 0
    assert json.loads((pods.folder / "run/result.json").read_text())["attempt"] == 2
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


def test_a_restarted_scheduler(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of the scheduler alone, which is started again: driver and worker meet there and end as ever."""
    scheduler, worker = pods.scheduler(), pods.worker()
    driver = pods.driver(SLOW, DASK_JOBS_RETRIES="3")
    pods.until("driver", '"attempt": 1')
    scheduler.kill()
    scheduler.wait()
    pods.scheduler()
    assert driver.wait(240) == 0, pods.log("driver")
    assert worker.wait(240) == 0
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


def test_a_scheduler_that_is_shut_down_ends(pods: Pods) -> None:
    """Whoever shuts the scheduler down ends its process with 1, so that Kubernetes starts it again."""
    scheduler = pods.scheduler()
    pods.until("scheduler", '"event": "listening"')
    with Client(pods.address, timeout=10) as client:
        client.shutdown()
    assert scheduler.wait(240) == 1
    assert "a client has shut it down" in pods.log("scheduler")


def test_a_run_that_goes_on_takes_fewer_workers(pods: Pods) -> None:
    """A run that began with two workers goes on with one, after a while: it may have been scaled down."""
    pods.scheduler()
    pods.worker()
    with (
        pytest.raises(TooFewWorkers, match="only 1 of 2 workers came in 3 s"),
        connect(pods.address, workers=2, workers_timeout=3),
    ):
        pass
    with connect(pods.address, workers=2, workers_timeout=20, degraded_start_after=1) as client:
        assert len(client.scheduler_info()["workers"]) == 1


def test_the_driver_tries_again(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver without workers for too long starts a further attempt, which goes on when one comes."""
    pods.scheduler()
    worker = pods.worker()
    driver = pods.driver({**SLOW, "workers_timeout": 8}, DASK_JOBS_RETRIES="1")
    pods.until("driver", '"attempt": 1')
    worker.kill()
    pods.until("driver", '"event": "retry"')
    assert pods.worker("other").wait(240) == 0
    assert driver.wait(240) == 0, pods.log("driver")
    assert '"attempt": 2' in pods.log("driver")
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


@pytest.mark.parametrize(("options", "code"), [({"problem": "slow:nothing"}, 2), ({"max_iterations": 0}, 2)])
def test_a_failed_driver_ends_the_workers(pods: Pods, options: dict[str, object], code: int) -> None:
    """Bad options end the driver with 2, and workers, which may come later, with 0: there is nothing to wait for."""
    pods.scheduler()
    driver = pods.driver(options)
    pods.until("driver", "dask-jobs: error:")
    worker = pods.worker()
    assert worker.wait(240) == 0, pods.log("worker")
    assert driver.wait(240) == code


def test_user_code_that_fails_is_1_and_not_tried_again(pods: Pods) -> None:
    """An exception of the user's code ends the driver with 1 and its traceback, once."""
    (pods.folder / "slow.py").write_text(PROBLEM.replace("time.sleep(0.03)", "raise LookupError('no such row')"))
    pods.scheduler()
    worker, driver = pods.worker(), pods.driver(SLOW, DASK_JOBS_RETRIES="3")
    assert driver.wait(240) == 1
    assert worker.wait(240) == 0
    assert pods.log("driver").count("LookupError: no such row") >= 1
    assert "retry" not in pods.log("driver")


def test_too_few_workers_is_3_at_once(pods: Pods) -> None:
    """Workers that do not come in time end the driver with 3, without further tries, and those that came with 0."""
    pods.scheduler()
    worker = pods.worker()
    driver = pods.driver({**SLOW, "workers": 2, "workers_timeout": 4}, DASK_JOBS_RETRIES="3")
    assert driver.wait(240) == 3
    assert "only 1 of 2 workers came in 4 s" in pods.log("driver")
    assert "retry" not in pods.log("driver")
    assert worker.wait(240) == 0


def test_sigterm_stops_the_driver_and_leaves_the_workers(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM: the driver saves and exits 4; the worker waits for the next attempt, which goes on."""
    pods.scheduler()
    worker, driver = pods.worker(), pods.driver(SLOW)
    pods.until("driver", '"attempt": 1')
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(240) == 4
    assert worker.poll() is None
    assert pods.driver(SLOW).wait(240) == 0
    assert worker.wait(240) == 0
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


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
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


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
    assert np.array_equal(_optimum(pods.folder / "run"), _expected(pods, monkeypatch))


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
