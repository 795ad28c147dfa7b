"""Faults that are no trial's: of the storage, of texts, of memory, of drivers that were killed or replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import forking
import pytest
import trials
import yaml
from distributed import Client, LocalCluster
from pods import pods_in
from waiting import until

from jobs.errors import ClusterError, InputError
from jobs.storage import open_storage
from jobs.tune import Study, space
from jobs.tune.records.table import load_study, rows
from jobs.tune.search import trial_queue
from jobs.tune.trials.worker import TrialPlugin


def test_texts_that_are_no_unicode(studies: Any, traces: Path) -> None:
    """An error that names a file of undecodable bytes is a failed trial like others, also if it cannot be told."""
    study = studies(trials.speaks, trials.with_folder(traces, -1))
    study.run(trials=4)
    errors = {row["error"] for row in study.rows() if row["state"] == "failed"}
    assert errors == {"FileNotFoundError: bad name \\udcff"}
    assert study.result["trials"]["complete"] > 0


@pytest.mark.parametrize("objective", [forking.forks, forking.forks_and_raises])
@pytest.mark.parametrize("isolate", [False, True])
def test_a_fork_ends_where_the_function_ends(objective: Any, isolate: bool, studies: Any) -> None:  # noqa: FBT001
    """A child that comes out of the user's function is no worker: it ends, and the trial's value is its parent's."""
    study = studies(objective, isolate=isolate)
    study.run(trials=3)
    assert [row["value"] for row in study.rows()] == [1.0, 1.0, 1.0]


def test_an_error_that_cannot_be_told(studies: Any) -> None:
    """An exception whose own text raises is told by its type."""
    study = studies(trials.mumbles)
    with pytest.raises(Exception, match="all 1 trials have failed"):
        study.run(trials=1)
    assert study.rows()[0]["error"] == "Mumbled"


def _break_checkpoints(study: Study, traces: Path, folder: Path) -> Callable[[], None]:
    """Run one trial, then let a file take the folder's place; return what undoes that."""
    for number in range(3):
        (traces / f"died-{number}").touch()  # the objective dies once in each trial that has not
    study.run(trials=1)
    folder.rename(folder.with_name("aside"))
    folder.touch()

    def mend() -> None:
        folder.unlink()
        folder.with_name("aside").rename(folder)

    return mend


def test_a_storage_that_fails_for_a_while(studies: Any, tmp_path: Path, traces: Path) -> None:
    """Checkpoints that cannot be written are no trial's fault: all are complete once they can be, one loss allowed."""
    study = studies(trials.saves, trials.with_folder(traces), max_losses=1)
    mend = _break_checkpoints(study, traces, tmp_path / "run/checkpoints")
    mended = threading.Timer(3, mend)
    mended.start()
    study.run(trials=3)
    mended.join()
    assert {row["state"] for row in study.rows()} == {"complete"}
    assert max(row["tries"] for row in study.rows()) > 1


def test_a_storage_that_fails_for_good(
    studies: Any, tmp_path: Path, traces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the cluster has failed, and no trial."""
    monkeypatch.setattr(trial_queue, "FAULTS", 2)
    study = studies(trials.saves, trials.with_folder(traces))
    _break_checkpoints(study, traces, tmp_path / "run/checkpoints")
    with pytest.raises(ClusterError, match="trials are lost again and again; the last, trial"):
        study.run(trials=3)
    assert {row["state"] for row in study.rows()[1:]} == {"running"}


def test_late_is_failed(studies: Any) -> None:
    """A trial that ends after its time, before it could be stopped, is failed all the same."""
    study = studies(trials.naps, trial_timeout=0.3)
    with pytest.raises(Exception, match="all 2 trials have failed"):
        study.run(trials=2)
    assert {row["error"] for row in study.rows()} == {"took longer than 0.3 s (trial_timeout)"}


def test_a_worker_that_is_full_is_started_again(tmp_path: Path) -> None:
    """Trials that leave memory behind pause their worker; it is replaced, and all are complete."""
    options = {"processes": True, "dashboard_address": "127.0.0.1:0", "memory_limit": "420MB"}
    with (
        dask.config.set({"distributed.worker.memory.terminate": False, "distributed.worker.memory.pause": 0.6}),
        LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster,
        Client(cluster) as client,
    ):
        study = Study(client, trials.leaks, {"x": space.uniform(0, 1)}, run=str(tmp_path / "run"), max_losses=1)
        before = set(client.run(os.getpid).values())
        study.run(trials=8)
        assert not before & set(client.run(os.getpid).values())
    assert {row["state"] for row in study.rows()} == {"complete"}


def test_a_killed_drivers_trials_are_no_burden_of_others(
    cluster: LocalCluster, breakable: Client, traces: Path, tmp_path: Path
) -> None:
    """Another study on the same workers waits until the trials that a killed driver left have ended, or are ended."""
    (tmp_path / "space.yaml").write_text(f"x: {{uniform: [-1, -0.5]}}\nfolder: {{choice: ['{traces}']}}\n")
    program = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())", "tune"]
    what = ["--objective", "trials:deaf", "--space", str(tmp_path / "space.yaml"), "--run", str(tmp_path / "first")]
    with subprocess.Popen(
        [*program, *what, "--scheduler", cluster.scheduler_address], stderr=subprocess.DEVNULL
    ) as first:
        until(lambda: len(list(traces.glob("try-*"))) == 2)
        first.send_signal(signal.SIGKILL)
    study = Study(breakable, trials.quadratic, trials.QUADRATIC, run=str(tmp_path / "second"), max_losses=1)
    study.run(trials=5)
    assert study.result["trials"]["complete"] == 5


def test_a_driver_that_was_replaced(traces: Path, tmp_path: Path) -> None:
    """A driver that lives on elsewhere while another goes on with its study ends with 4, and harms nothing."""
    with pods_in(tmp_path) as pods:
        pods.scheduler(), pods.worker("first"), pods.worker("second")
        options = {
            "job": "tune",
            "objective": "trials:waits",
            "space": {"x": {"uniform": [0, 1]}, "folder": {"choice": [str(traces)]}},
            "trials": 6,
            "run": str(tmp_path / "run"),
            "scheduler": pods.address,
            "workers": 2,
            "max_losses": 1,
        }
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(options))
        old = pods.start("old", "jobs.pods.driver", "tune", "--config", tmp_path / "job.yaml")
        until(lambda: len(list(traces.glob("try-*"))) == 2)
        (claim,) = (tmp_path / "run/attempts").iterdir()
        claim.write_text(json.dumps(json.loads(claim.read_text()) | {"host": "elsewhere"}))
        new = pods.start("new", "jobs.pods.driver", "tune", "--config", tmp_path / "job.yaml")
        assert old.wait(60) == 4, pods.log("old")
        until(lambda: len(list(traces.glob("try-*"))) >= 4)
        (traces / "go").touch()
        assert new.wait(60) == 0, pods.log("new")
    table = rows(load_study(open_storage(tmp_path / "run")))
    assert [(row["number"], row["state"]) for row in table] == [(number, "complete") for number in range(6)]


def test_a_broken_connection_to_the_scheduler(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """A driver whose connection breaks connects again, brings its plugin anew, and runs what was cut off once more."""
    study = Study(breakable, trials.waits, trials.with_folder(traces), run=str(tmp_path / "run"), max_losses=1)

    def cut() -> None:
        until(lambda: len(list(traces.glob("try-*"))) == 4)
        breakable.loop.add_callback(breakable.scheduler_comm.comm.abort)
        until(lambda: len(list(traces.glob("try-*"))) >= 6)
        (traces / "go").touch()

    thread = threading.Thread(target=cut)
    thread.start()
    study.run(trials=8)
    thread.join()
    assert {row["state"] for row in study.rows()} == {"complete"}


def _refuse(plugin: TrialPlugin, worker: Any) -> None:
    raise ModuleNotFoundError("No module named 'jobs'")


def test_workers_without_this_package(studies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot take the plugin is told at once, and what to install."""
    monkeypatch.setattr(TrialPlugin, "setup", _refuse)
    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as own:
        with pytest.raises(InputError, match=r"cannot run trials \(No module named 'jobs'\); is dask-jobs installed"):
            Study(own, trials.quadratic, trials.QUADRATIC, run=studies(trials.quadratic).url).run(trials=1)
