"""What fails around a training: S3, the disk, the scheduler, a slow worker. It ends in time, and its bits stay."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import networks
import psutil
import pytest
import yaml
from commands import SLOW, result_of, run_here, run_job, start_job, until_saved, weights_of
from pods import Pods, pods_in
from proxy import Proxy
from waiting import until

from jobs import connect
from jobs.cluster import alive
from jobs.errors import InputError
from jobs.train import GradientAveraging
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.replicas import Replicas
from jobs.usercode import UserCode

JOB = [*SLOW, "--epochs", "4"]
STREAMS = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
SECONDS = 240


def _error(log: str) -> str:
    """Return the one error of a log; TensorFlow may write lines of its own."""
    assert "Traceback" not in log
    (line,) = (line for line in log.splitlines() if "error: " in line)
    return line


def _is_as_whole(url: str | Path, whole: Path, attempt: int) -> None:
    """Check that a run has ended in an attempt with the bits and the history of one that nothing disturbed."""
    assert weights_of(url) == weights_of(whole)
    assert result_of(url)["history"] == result_of(whole)["history"]
    assert result_of(url)["attempt"] == attempt


def _goes_on(url: str | Path, whole: Path) -> None:
    """Check that the same command resumes the run to its end, without a cluster."""
    done = run_here(*JOB, "--workers", "0", "--run", str(url))
    assert done.returncode == 0, done.stderr
    _is_as_whole(url, whole, 2)


@pytest.fixture
def server(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Yield a proxy to the S3 server, through which all go that use `s3`."""
    port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
    assert port
    proxy = Proxy("127.0.0.1", 0, port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    proxy.end()


def test_s3_is_away_for_a_while(server, s3, whole):
    """A checkpoint that cannot be written is tried again, and the run goes on when S3 is back."""
    url = f"{s3}/run"
    process = start_job(*JOB, "--workers", "2", "--run", url, **STREAMS)
    until_saved(url, process)
    server.fault = "away"
    until(lambda: server.closed >= 4, process=process)
    server.fault = None
    log = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 0, log
    _is_as_whole(url, whole, 1)


def test_s3_is_away_for_good(server, s3, whole, monkeypatch):
    """It is exit code 3 and one line; the same command goes on from the last complete checkpoint."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    url = f"{s3}/run"
    process = start_job(*JOB, "--workers", "2", "--run", url, **STREAMS)
    until_saved(url, process)
    server.fault = "away"
    log = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 3, log
    error = _error(log)
    assert error.startswith(f"dask-jobs: error: {url}/")
    assert "check AWS_ENDPOINT_URL and the network" in error
    server.fault = None
    _goes_on(url, whole)


def test_a_full_disk(whole, tmp_path):
    """Files may not grow beyond a limit, as with no space left: exit code 3, one line, the same command goes on."""
    run = tmp_path / "run"
    process = start_job(*JOB, "--workers", "0", "--run", str(run), **STREAMS)
    until_saved(run, process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    log = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 3, log
    error = _error(log)
    assert error.startswith(f"dask-jobs: error: {run}/checkpoints/")
    assert "no space left to write" in error
    _goes_on(run, whole)


def _driver(pods: Pods) -> subprocess.Popen[bytes]:
    keys = (name.removeprefix("--").replace("-", "_") for name in JOB[::2])
    options = dict(zip(keys, map(yaml.safe_load, JOB[1::2]), strict=True))
    place = {"job": "train", "run": str(pods.folder / "run"), "scheduler": pods.address, "workers": 2}
    (pods.folder / "job.yaml").write_text(yaml.safe_dump(place | options | {"connect_timeout": 5}))
    return pods.start("driver", "jobs.pods.driver", "train", "--config", pods.folder / "job.yaml")


def test_the_scheduler_is_killed(whole, tmp_path):
    """The driver ends with exit code 3 and one line; with the next scheduler the same workers end the run."""
    with pods_in(tmp_path) as pods:
        scheduler, workers = pods.scheduler(), [pods.worker(name) for name in ("first", "second")]
        driver = _driver(pods)
        until_saved(tmp_path / "run", driver)
        scheduler.kill()
        assert driver.wait(SECONDS) == 3, pods.log("driver")
        error = _error(pods.log("driver"))
        assert error.startswith("dask-jobs: error: the scheduler is gone")
        pods.scheduler()
        assert _driver(pods).wait(SECONDS) == 0, pods.log("driver")
        assert [worker.wait(SECONDS) for worker in workers] == [0, 0]
    _is_as_whole(tmp_path / "run", whole, 2)


def test_a_slow_worker_is_named_and_counts_as_lost(whole, tmp_path):
    """One that does not send for --step-timeout; the others go on without it, and no process is left."""
    run = tmp_path / "run"
    process = start_job(*JOB, "--workers", "2", "--step-timeout", "5", "--run", str(run), **STREAMS)
    until_saved(run, process)
    workers = [one for one in psutil.Process(process.pid).children(recursive=True) if one.net_connections()]
    victim = workers[-1]
    ports = {one.laddr.port for one in victim.net_connections() if one.status == psutil.CONN_LISTEN}
    victim.send_signal(signal.SIGSTOP)
    log = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 0, log
    named = re.findall(
        r"worker tcp://127\.0\.0\.1:(\d+) did not (?:send for 5 s \(--step-timeout\)|answer for 30 s)", log
    )
    assert len(named) == 1
    assert int(named[0]) in ports
    assert result_of(run)["lost_workers"] == 1
    assert not any(one.is_running() for one in workers)
    _is_as_whole(run, whole, 1)


def test_all_workers_are_lost_after_a_checkpoint_was_needed(tmp_path):
    """Epochs whose ends the driver has seen are trained again, with what happened at their ends."""
    settings = ["--model", "networks:dense", "--data", "networks:data", "--batch-size", "48", "--epochs", "6"]
    settings += ["--validation", "0.2", "--save-every", "100000"]
    runs = {"rates": "0", "rates_and_a_loss": "1"}
    for callbacks, workers in runs.items():
        given = ["--workers", workers, "--callbacks", f"networks:{callbacks}", "--run", str(tmp_path / callbacks)]
        done = run_job(*settings, *given)
        assert done.returncode == 0, done.stderr
    whole, lost = (tmp_path / name for name in runs)
    best, losses = result_of(whole)["best"]["epoch"], result_of(whole)["history"]["val_loss"]
    assert best <= 2, losses  # the last checkpoint before the loss is of no later epoch
    _is_as_whole(lost, whole, 1)


def test_a_worker_freezes_between_steps(monkeypatch):
    """It counts as lost where no step waits for it too: while the model is evaluated, copied or saved."""
    monkeypatch.setattr(alive, "QUIET_SECONDS", 3.0)
    with connect(workers=2) as client, Replicas(client, networks.dense) as made:
        frozen, other = (psutil.Process(one) for one in made.map(networks.process_of))
        frozen.suspend()
        try:
            assert made.map(networks.process_of) == [other.pid]
            assert made.trainer.lost_workers == 1
        finally:
            frozen.resume()


def test_a_worker_is_lost_between_two_groups():
    """It is counted where no call was under way to see it."""
    with connect(workers=2) as client, Replicas(client, networks.dense) as made:
        fit = GradientAveraging(made).fit
        fit(networks.rows(), batch_size=48, epochs=1)
        psutil.Process(made.map(networks.process_of)[0]).kill()
        until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) < 2)
        fit(networks.rows(), batch_size=48, epochs=1)
        assert made.trainer.lost_workers == 1


def test_a_worker_without_the_gpu_that_it_was_promised(monkeypatch):
    """It is refused by name, before work begins, with what to do."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    message = "worker tcp://.* was promised 1 GPUs, but TensorFlow sees 0: give it the image with TensorFlow for GPUs"
    with connect(gpus=1) as client, pytest.raises(InputError, match=message):
        ClusterTrainer(client, UserCode("model", networks.dense, "m:f"))
