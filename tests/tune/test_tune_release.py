"""The tune job in the processes of a release: its driver, scheduler and workers are killed, and it goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pods import Pods, pods_in
from waiting import until

from jobs.storage import open_storage
from jobs.tune.records.table import load_study, rows


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    """Yield a release with a scheduler and two workers."""
    with pods_in(tmp_path) as pods:
        yield pods


def _driver(pods: Pods, traces: Path, *, max_losses: int) -> Any:
    options = {
        "job": "tune",
        "objective": "trials:waits",
        "space": {"x": {"uniform": [0, 1]}, "folder": {"choice": [str(traces)]}},
        "trials": 6,
        "run": str(pods.folder / "run"),
        "scheduler": pods.address,
        "workers": 2,
        "max_losses": max_losses,
        "connect_timeout": 5,
    }
    (pods.folder / "job.yaml").write_text(yaml.safe_dump(options))
    return pods.start("driver", "jobs.pods.driver", "tune", "--config", pods.folder / "job.yaml", DASK_JOBS_RETRIES="9")


def _tries(traces: Path) -> int:
    return len(list(traces.glob("try-*")))


@pytest.mark.parametrize("victim", ["scheduler", "driver", "worker"])
def test_any_of_a_releases_processes_is_killed(victim: str, pods: Pods, traces: Path) -> None:
    """kill -9 of the scheduler, the driver or a worker in mid-trial, each started again: every trial is there once.

    The trials never report, so those of a killed driver end with their worker processes. Only a worker's own end
    counts against the trial that it ran.
    """
    losses = 2 if victim == "worker" else 1
    parts = {"scheduler": pods.scheduler(), "worker": pods.worker("first"), "other": pods.worker("second")}
    parts["driver"] = _driver(pods, traces, max_losses=losses)
    until(lambda: _tries(traces) == 2, log=lambda: pods.log("driver"))
    parts[victim].send_signal(signal.SIGKILL)
    parts[victim].wait()
    if victim == "driver":
        parts["driver"] = _driver(pods, traces, max_losses=losses)
    else:
        parts[victim] = pods.scheduler() if victim == "scheduler" else pods.worker("first")
    until(lambda: _tries(traces) > 2, log=lambda: pods.log("driver"))
    (traces / "go").touch()
    assert parts["driver"].wait(240) == 0, pods.log("driver")
    table = rows(load_study(open_storage(pods.folder / "run")))
    assert [row["number"] for row in table] == list(range(6))
    assert {row["state"] for row in table} == {"complete"}
    for name in parts.keys() - {"scheduler", "driver"}:
        assert parts[name].wait(240) == 0
