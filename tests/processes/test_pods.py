"""The worker, scheduler and driver processes of a release: when each ends, with which exit code, and what survives."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from pods import Pods
from slow_release import PROBLEM, SLOW, expected, optimum

from jobs import connect
from jobs.errors import TooFewWorkers
from jobs.pods import refuse_hidden_modules


def test_all_end_with_0(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is done ends driver and workers with code 0, and its result has the bits of a local run."""
    pods.scheduler()
    workers = [pods.worker("first"), pods.worker("second", "--threads", 2, "--memory-limit", 2**30)]
    driver = pods.driver({**SLOW, "workers": 2})
    assert driver.wait(240) == 0, pods.log("driver")
    assert [worker.wait(240) for worker in workers] == [0, 0]
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


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
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


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
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


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
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


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
    assert np.array_equal(optimum(pods.folder / "run"), expected(pods, monkeypatch))


def test_code_that_hides_a_module_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A release whose `code` has a random.py would end in a traceback of Python's own: the pod names the file."""
    for name in ("my_model.py", "numbers.yaml"):
        (tmp_path / name).write_text("")
    refuse_hidden_modules(str(tmp_path))
    refuse_hidden_modules(str(tmp_path / "none"))
    (tmp_path / "random.py").write_text("")
    with pytest.raises(SystemExit) as ended:
        refuse_hidden_modules(str(tmp_path))
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "dask-jobs: error: code has the file 'random.py', which hides the module random of Python's standard library: "
        "choose another name\n"
    )
