"""Objectives that ask the trial for their hyperparameters, as Optuna's: values, samplers, pruners, losses, report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asking
import pytest
from distributed import Client
from test_tune_code import COMMAND
from waiting import until

from jobs.commands import write_report
from jobs.errors import InputError, UserCodeError
from jobs.storage import open_storage
from jobs.tune import Study, space
from jobs.tune.records.table import find_study
from jobs.tune.report.data import read_search
from jobs.tune.report.space import importances
from jobs.tune.trials import define_by_run
from jobs.tune.trials.define_by_run import DefineByRunTrial
from jobs.tune.trials.trial import Signal, Stop

PARAMS = [f"params_{name}" for name in ("x", "deep", "units", "layers", "rate")]


@pytest.fixture
def asked(client: Client, tmp_path: Path) -> Any:
    """Return a function that makes a study without a space, in a folder of its own."""

    def make(objective: Any, name: str = "run", **options: Any) -> Study:
        return Study(client, objective, run=str(tmp_path / name), **{"direction": "minimize", **options})

    return make


def _table(study: Study) -> list[list[Any]]:
    return [[row["value"], *(row[name] for name in PARAMS)] for row in study.rows()]


def test_conditional_hyperparameters(asked: Any, tmp_path: Path) -> None:
    """A trial has what it has asked for; tables and the report have blanks for the rest; only the seed decides."""
    study = asked(asking.conditional)
    result = study.run(trials=24)
    assert result["trials"]["complete"] == 24
    for row in study.rows():
        assert (row["params_units"] is not None) == row["params_deep"] == (row["user_attrs_sizes"] is not None)
        assert row["params_units"] in (None, *range(16, 129, 16))
        assert row["params_layers"] in ([64], [64, 32])
    best = min(study.rows(), key=lambda row: row["value"])
    names = ["x", "deep", *(["units"] if best["params_deep"] else []), "layers", "rate"]
    assert study.best["params"] == {name: best[f"params_{name}"] for name in names} == result["best"]["params"]
    write_report(open_storage(tmp_path / "run"))
    assert "Parallel coordinates" in (tmp_path / "run/report.html").read_text()
    search = read_search(open_storage(tmp_path / "run"))
    assert search is not None
    assert set(importances(search)) == {"x", "deep", "layers", "rate"}  # not of units, which some lack
    again = asked(asking.conditional, "again", isolate=True)
    again.run(trials=4)
    assert _table(again) == _table(study)[:4]
    other = asked(asking.conditional, "other", seed=1)
    other.run(trials=2)
    assert _table(other)[0] != _table(study)[0]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc", "nsgaii"])
def test_samplers(asked: Any, sampler: str) -> None:
    """Each of Optuna's samplers proposes, also when a search goes on; the first trial depends on the seed alone."""
    tables = []
    for name in ("one", "two"):
        study = asked(asking.old, f"{sampler}-{name}", sampler=sampler, threads_per_trial=1)
        for count in (14,) if name == "one" else (12, 14):
            study.run(trials=count)
        tables.append([[row[f"params_{name}"] for name in "xyz"] for row in study.rows()])
        assert study.result["trials"]["complete"] == 14
        assert all(0 <= x <= 1 and 1e-3 <= y <= 1 for x, y, _ in tables[-1])
        assert len({x for x, _, _ in tables[-1]}) > 10
        assert len({x for x, _, _ in tables[-1][:2]}) == 2
    assert tables[0][0] == tables[1][0]


def test_pruning_is_asked_for(asked: Any) -> None:
    """Only `should_prune` stops a trial, as with Optuna; a report that is hopeless does not."""
    options = {"pruner": "threshold", "pruner_options": {"upper": 0.5}}
    study = asked(asking.pruned, **options)
    study.run(trials=10)
    for row in study.rows():
        assert (row["state"], row["steps"]) == (("pruned", 0) if row["params_x"] > 0.5 else ("complete", 2))
        assert row["last"] == row["params_x"]
    assert asked(asking.ignores_the_pruner, "ignores", **options).run(trials=10)["trials"]["complete"] == 10
    median = asked(asking.pruned, "median", pruner="median", pruner_options={"n_startup_trials": 2})
    assert median.run(trials=20)["trials"]["pruned"] > 0


def test_how_a_trial_ends(asked: Any) -> None:
    """TrialPruned is pruned, NaN diverged, and what cannot be asked for fails with a sentence."""
    study = asked(asking.ends)
    study.run(trials=7)
    rows = study.rows()
    assert [row["state"] for row in rows] == [
        "pruned",
        "diverged",
        "diverged",
        "failed",
        "failed",
        "failed",
        "complete",
    ]
    assert "y: `low <= high` must hold" in rows[3]["error"] or "low" in rows[3]["error"]
    assert "choices of c must be numbers, texts" in rows[4]["error"]
    assert "trial.study is not available here: the study is on the driver" in rows[5]["error"]


def test_several_objectives(asked: Any) -> None:
    """A tuple has the objectives in the order of --metric."""
    study = asked(asking.several, metric=["a", "b"], direction=["minimize", "maximize"], sampler="nsgaii")
    result = study.run(trials=6)
    assert [trial["number"] for trial in result["front"]]
    for row in study.rows():
        assert (row["values_a"], row["values_b"]) == (row["params_x"], 1 - row["params_x"])


def test_constants(asked: Any) -> None:
    """A hyperparameter that --fixed names has that value in each trial."""
    study = asked(asking.pruned, fixed={"x": 0.25}, pruner="none")
    study.run(trials=3)
    assert {row["params_x"] for row in study.rows()} == {0.25}


def test_what_does_not_go_together(asked: Any) -> None:
    """A space, or a sampler that needs one, is refused before work begins; so is no space where it is needed."""
    with pytest.raises(InputError, match="space is given, but asking:pruned takes the trial alone"):
        asked(asking.pruned, space={"x": space.uniform(0, 1)})
    with pytest.raises(InputError, match="sampler grid needs the whole space"):
        asked(asking.pruned, sampler="grid")
    with pytest.raises(InputError, match="sampler cmaes does not take these sampler_options"):
        asked(asking.pruned, sampler="cmaes", sampler_options={"nonsense": 1})
    with pytest.raises(InputError, match="space is missing"):
        asked(lambda params: params["x"])


def test_a_lost_worker_changes_no_value(breakable: Client, traces: Path, tmp_path: Path) -> None:
    """A trial that runs again elsewhere gets the values that it had, and then those that it would have got."""
    fixed = {"folder": str(traces), "kill": True}
    (traces / "go").touch()
    study = Study(breakable, asking.survives, run=str(tmp_path / "run"), fixed=fixed, sampler="tpe")
    assert study.run(trials=3)["lost_executions"] >= 1
    values = [path.read_text() for path in traces.glob("x-0-*")]
    assert len(values) == 2
    assert values[0] == values[1] == repr(study.rows()[0]["params_x"])


def test_a_killed_driver_changes_no_value(traces: Path, tmp_path: Path) -> None:
    """What a trial was given before the driver's end is what it is given after it."""
    run = tmp_path / "run"
    given = [
        "tune",
        "--objective",
        "asking:survives",
        "--fixed",
        f"folder={traces}",
        "--trials",
        "3",
        "--sampler",
        "tpe",
    ]
    command = [sys.executable, "-c", COMMAND, *given, "--workers", "1", "--run", str(run)]
    with subprocess.Popen(command, start_new_session=True) as process:
        until(lambda: list(traces.glob("x-1-*")), process=process)
        os.killpg(process.pid, signal.SIGKILL)
    (traces / "go").touch()
    ended = subprocess.run(command, check=False, timeout=240, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    values = {path.read_text() for path in traces.glob("x-1-*") if path.read_text()}
    study = find_study(open_storage(run))
    assert study is not None
    assert values == {repr(study.trials[1].params["x"])}
    assert len(list(traces.glob("x-1-*"))) == 2
    assert json.loads((run / "result.json").read_text())["trials"]["complete"] == 3


class _Driver:
    """Answers requests, except for the first `lost` of them."""

    def __init__(self, lost: int = 0) -> None:
        self.signal, self.lost, self.messages = Signal(), lost, list[dict[str, Any]]()

    def send(self, **message: Any) -> None:
        self.messages.append(message)
        if message["kind"] == "request" and len(self.messages) > self.lost:
            self.signal.reply(message["request"], {"value": 1.0, "error": ""})

    def trial(self, **about: Any) -> DefineByRunTrial:
        place = {"seed": 0, "workers": ("here",), "threads": 1, "checkpoint": Path}
        return DefineByRunTrial(0, {}, link=self, signal=self.signal, **place, **about)


def test_a_lost_request_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a reply is sent once more, as the same one; a stopped trial does not wait for it."""
    monkeypatch.setattr(define_by_run, "RESEND_SECONDS", 0.01)
    driver = _Driver(lost=2)
    assert driver.trial().suggest_categorical("c", ["a", "b"]) == "b"
    assert driver.messages[0] == driver.messages[1] == driver.messages[2]
    driver = _Driver(lost=99)
    driver.signal.answer(0, "timeout")
    with pytest.raises(Stop):
        driver.trial().suggest_float("x", 0, 1)


def test_fast_reports_are_not_all_decided_on() -> None:
    """Of many reports a second only those that are sent are asked about."""
    driver = _Driver()
    trial = driver.trial()
    decided = []
    for step in range(200):
        trial.report(0.5, step)
        decided.append(trial.should_prune())
    assert decided[0]
    assert 100 <= sum(decided) < 200
    assert not driver.trial(prunes=False).should_prune()


def test_attributes_that_cannot_be_kept() -> None:
    """Names of this package's, and values that JSON cannot hold, are refused where they are set."""
    trial = _Driver().trial()
    with pytest.raises(ValueError, match="'run' is one of dask-jobs's own"):
        trial.set_user_attr("run", 1)
    with pytest.raises(TypeError, match="model must be what JSON can hold"):
        trial.set_user_attr("model", object())
    with pytest.raises(ValueError, match="100,000"):
        trial.set_user_attr("image", "x" * 100_000)
    with pytest.raises(AttributeError, match="trial.set_constraint is not available here: return a dict"):
        trial.set_constraint("a", 1)
    assert trial.user_attrs == {}


def test_a_bug_before_the_first_value(asked: Any) -> None:
    """A trial that fails before it has asked for anything is in the tables and the report as any other."""
    study = asked(_broken)
    with pytest.raises(UserCodeError, match="all failed alike"):
        study.run(trials=9)
    assert write_report(open_storage(study.url))


def _broken(trial: Any) -> float:
    return 1.0 + trial.nonsense
