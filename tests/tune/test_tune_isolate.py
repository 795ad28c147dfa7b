"""--isolate: each try in a process of its own, which may die without its worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trials
from distributed import Client

from jobs.errors import InputError
from jobs.tune import Study, space


@pytest.fixture
def isolated(client: Client, tmp_path: Path, traces: Path) -> Callable[..., Study]:
    """Return a function that makes a study of isolated trials on the session's cluster."""

    def make(objective: Any, low: float = 0, **options: Any) -> Study:
        dimensions = {"x": space.uniform(low, 1), "folder": space.choice([str(traces)])}
        return Study(client, objective, dimensions, **{"run": str(tmp_path / "run"), "isolate": True, **options})

    return make


def _workers(client: Client) -> set[int]:
    return set(client.run(os.getpid).values())


def test_each_try_has_its_own_process(isolated: Callable[..., Study], client: Client, traces: Path) -> None:
    """All that a trial is told, it is told there; its values are those of the same study without processes."""
    study = isolated(trials.told_and_where)
    study.run(trials=3)
    processes = {int(path.name.split("-")[1]) for path in traces.glob("process-*")}
    assert len(processes) == 3
    assert not processes & _workers(client)
    assert [row["value"] for row in study.rows()] == [row["params_x"] for row in study.rows()]


def test_reports_and_decisions_pass(isolated: Callable[..., Study], traces: Path) -> None:
    """A trial is stopped by the driver in the report after which it was found hopeless."""
    study = isolated(trials.patient, pruner="threshold", pruner_options={"lower": 2})
    study.run(trials=2)
    assert {row["state"] for row in study.rows()} == {"pruned"}
    assert len(list(traces.glob("step-*"))) == 2


def test_a_dead_process_is_a_lost_try(isolated: Callable[..., Study], client: Client) -> None:
    """A trial that dies each time is failed after --max-losses; the workers live on, and the others' results count."""
    before = _workers(client)
    study = isolated(trials.suicide, low=-0.25, max_losses=2)
    study.run(trials=5)
    killers = [row["number"] for row in study.rows() if row["params_x"] < 0]
    assert killers
    failed = [row for row in study.rows() if row["state"] == "failed"]
    assert [row["number"] for row in failed] == killers
    assert "its process ended with signal 9 (memory?)" in failed[0]["error"]
    assert _workers(client) == before


def test_a_process_that_lets_go_of_its_worker_is_ended(isolated: Callable[..., Study], traces: Path) -> None:
    """One that cannot report its end any more is a lost try, and does not hold its slot until it ends."""
    study = isolated(trials.becomes_another_program, low=-0.25, max_losses=1)
    study.run(trials=4)
    failed = [row["error"] for row in study.rows() if row["state"] == "failed"]
    assert failed
    assert all("its process closed its pipe, and did not end in 3 s" in error for error in failed)
    for path in traces.glob("process-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name.split("-")[1]), 0)


@pytest.mark.timeout(120)
def test_a_process_that_leaves_a_fork_is_lost(isolated: Callable[..., Study], traces: Path) -> None:
    """That it has ended is seen, although what it forked holds its end of the pipe."""
    study = isolated(trials.leaves_a_fork, low=-0.25, max_losses=1)
    try:
        study.run(trials=4)
    finally:
        for path in traces.glob("fork-*"):
            os.kill(int(path.name.split("-")[1]), signal.SIGKILL)
    failed = [row["error"] for row in study.rows() if row["state"] == "failed"]
    assert failed
    assert all("its process ended with signal 9 (memory?)" in error for error in failed)


def test_checkpoints_outlive_a_process(isolated: Callable[..., Study], traces: Path) -> None:
    """A try goes on where the dead one was."""
    study = isolated(trials.saves)
    study.run(trials=1)
    assert study.result["best"]["value"] == 6
    steps = sorted(int(path.name.split("-")[2]) for path in traces.glob("step-0-*"))
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_trial_out_of_time_is_ended_alone(isolated: Callable[..., Study], client: Client) -> None:
    """One that never reports is killed with its process; its worker stays."""
    before = _workers(client)
    study = isolated(trials.deaf, low=-0.25, trial_timeout=5)
    study.run(trials=4)
    for row in study.rows():
        assert row["state"] == ("failed" if row["params_x"] < 0 else "complete")
    assert _workers(client) == before


def test_failures_keep_their_traceback(isolated: Callable[..., Study], tmp_path: Path) -> None:
    """An exception travels as it does without processes."""
    study = isolated(trials.fails, low=-1)
    study.run(trials=4)
    failed = [row["number"] for row in study.rows() if row["state"] == "failed"]
    assert failed
    assert "in fails" in (tmp_path / "run" / "failures" / f"{failed[0]:04d}.txt").read_text()


def test_what_workers_cannot_import(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that only the driver has is the same error as without processes."""
    (tmp_path / "only_driver_has.py").write_text("def train(parameters):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    study = Study(client, "only_driver_has:train", {"x": space.uniform(0, 1)}, run=str(tmp_path / "run"), isolate=True)
    with pytest.raises(InputError, match="only_driver_has:train: cannot import it"):
        study.run(trials=1)
