"""Workers that are frozen when a job begins: the scheduler lists them, and they never answer."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from distributed import Client

from jobs import connect
from jobs.cluster.local import local_cluster
from jobs.errors import Stopped, TooFewWorkers
from jobs.minimize import job as minimize_job
from jobs.minimize.options import Options as MinimizeOptions
from jobs.tune import job as tune_job
from jobs.tune.options import Options as TuneOptions

JOBS = {
    "minimize": (minimize_job.run, MinimizeOptions, {}),
    "tune": (tune_job.run, TuneOptions, {"trials": 2, "fixed": {"epochs": 1}}),
}


@contextlib.contextmanager
def frozen(client: Client, count: int) -> Iterator[list[str]]:
    """Freeze so many worker processes within the context, and yield their addresses."""
    processes = sorted(client.run(os.getpid).items())[:count]
    for _address, process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield [address for address, _process in processes]
    finally:
        for _address, process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@pytest.fixture
def client() -> Iterator[Client]:
    """Yield a client of two worker processes that somebody else has started."""
    with local_cluster(2, 1) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_waits_for_a_frozen_worker_heeds_its_deadline(client: Client, tmp_path: Path, job: str) -> None:
    """The job ends by its deadline, and the error names the worker that it waited for."""
    run, options, given = JOBS[job]
    with frozen(client, 1) as (address,), pytest.raises(Stopped) as caught:
        run(options(run=str(tmp_path / "run"), scheduler=client.scheduler.address, deadline=3, **given))
    assert "stopped by the deadline of 3 s" in str(caught.value)
    assert f"worker {address} does not answer" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_waits_for_a_frozen_worker_heeds_signals(
    client: Client, tmp_path: Path, job: str, number: signal.Signals
) -> None:
    """The job ends by a signal that comes while it waits for the worker."""
    run, options, given = JOBS[job]
    stop = _at_record("does not answer yet", lambda: os.kill(os.getpid(), number))
    with frozen(client, 1), stop, pytest.raises(Stopped, match=f"stopped by {number.name}"):
        run(options(run=str(tmp_path / "run"), scheduler=client.scheduler.address, **given))


@pytest.mark.parametrize("job", JOBS)
def test_a_job_goes_on_without_a_frozen_worker(
    client: Client, tmp_path: Path, job: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When its time to answer is over, the scheduler removes it, and the job runs on the other."""
    run, options, given = JOBS[job]
    with frozen(client, 1) as (address,):
        folder = str(tmp_path / "run")
        result = run(options(run=folder, scheduler=client.scheduler.address, workers_timeout=5, **given))
        assert address not in client.scheduler_info(n_workers=-1)["workers"]
    assert (result["success"], result["workers"]) == (True, 1)
    assert f"worker {address} did not answer for 5 s (workers_timeout); the others go on without it" in caplog.text


def test_too_few_workers_answer(client: Client) -> None:
    """Where others do not come in its place, the error names the worker, and says what to do with it."""
    address = client.scheduler.address
    with frozen(client, 1) as (worker,), pytest.raises(TooFewWorkers) as caught:
        with connect(address, workers=2, workers_timeout=3):
            pass
    assert f"only 1 of 2 workers came in 3 s (workers_timeout); worker {worker} did not answer" in str(caught.value)
    assert "end its process, or start it anew" in str(caught.value)


def test_waiting_for_workers_that_do_not_come_is_polled(client: Client) -> None:
    """What `poll` raises ends the wait for more workers too."""
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls > 2:
            raise Stopped("enough")

    with pytest.raises(Stopped, match="enough"), connect(client.scheduler.address, workers=3, poll=poll):
        pass


def test_waiting_for_a_scheduler_that_never_answers_is_polled() -> None:
    """What `poll` raises ends the wait for a port that accepts and never answers."""

    def poll() -> None:
        raise Stopped("enough")

    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(Stopped, match="enough"):
            with connect(f"tcp://127.0.0.1:{silent.getsockname()[1]}", poll=poll):
                pass


@contextlib.contextmanager
def _at_record(text: str, act: Callable[[], None]) -> Iterator[None]:
    """Act in another thread, once, at the first record of a log that has a text."""
    done = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage() and not done.is_set():
                done.set()
                threading.Thread(target=act).start()

    handler, logger = Handler(), logging.getLogger("jobs")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert done.is_set()
