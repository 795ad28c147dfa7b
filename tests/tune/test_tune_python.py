"""`Study`, the search from Python: its options, limits, results and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trials
from distributed import Client

from jobs.errors import InputError
from jobs.storage import open_storage
from jobs.tune import Study, space
from jobs.tune.records.table import load_study, rows

X = {"x": space.uniform(-1, 1)}


def test_a_finished_study_is_not_repeated(studies: Any) -> None:
    """The same call on a study that has ended returns its result and says so."""
    study = studies(trials.quadratic)
    first = study.run(trials=3)
    assert study.run(trials=3) == json.loads(json.dumps(first)) | {"job": "tune", "already": True}


def test_fewer_trials_than_there_are(studies: Any) -> None:
    """Asking for fewer trials than are done is refused before work begins."""
    study = studies(trials.quadratic)
    study.run(trials=5)
    with pytest.raises(InputError, match=r"^trials is 4, but 5 trials are already done in run .*; ask for more"):
        study.run(trials=4)


def test_the_table_can_be_read_by_others(studies: Any, tmp_path: Path) -> None:
    """`load_study` gives Optuna's study of a run folder, with the table's rows."""
    study = studies(trials.quadratic)
    study.run(trials=4)
    loaded = load_study(open_storage(tmp_path / "run"))
    assert rows(loaded) == study.rows()
    assert loaded.best_trial.number == study.best["number"]
    with pytest.raises(InputError, match="holds no study yet"):
        load_study(open_storage(tmp_path / "empty"))


def test_limits_are_those_of_one_call(studies: Any) -> None:
    """A limit that one call gives is not the next one's, which has what Study was given."""
    study = studies(trials.sleeps, X, trials=6)
    study.run(trials=3, target=-1.0)
    assert study.run(trials=4)["message"] == "all 4 trials are done"
    assert study.run()["message"] == "all 6 trials are done"


def test_the_best_is_the_run_folders(client: Client, tmp_path: Path) -> None:
    """A study that has not run here knows the best of the run folder: feasible, and the first of equal ones."""
    options = {"run": str(tmp_path / "run"), "metric": "cost", "constraints": "excess", "sampler": "grid"}
    wide = {"x": space.choice([3.0, -1.0, 1.0]), "y": space.choice(["a", "b"])}
    first = Study(client, trials.metrics, wide, **options)
    assert first.best is None
    first.run()
    again = Study(client, trials.metrics, wide, **options)
    assert again.best == first.best == first.result["best"]
    feasible = [row for row in again.rows() if row["params_x"] <= 1]
    assert again.best["number"] == max(feasible, key=lambda row: (row["value"], -row["number"]))["number"]


def test_errors_have_pythons_names(client: Client, tmp_path: Path) -> None:
    """What is wrong with options is said in the names that Python has for them."""
    options = {"run": str(tmp_path), "metric": ["a", "b"], "direction": ["maximize", "minimize"]}
    for name, value in {"pruner": "asha", "target": 1.0, "sampler": "cmaes"}.items():
        with pytest.raises(InputError, match=f"^{name} .* metric") as error:
            Study(client, trials.sleeps, {"x": space.uniform(0, 1)}, **options, **{name: value})
        assert "--" not in str(error.value)


def test_options_that_a_study_does_not_have(studies: Any, client: Client) -> None:
    """A mistyped option or limit is refused at once."""
    with pytest.raises(InputError, match="there is no option 'trails'"):
        studies(trials.quadratic, trails=3)
    with pytest.raises(InputError, match="there is no option 'connect_timeout'"):
        studies(trials.quadratic, connect_timeout=5)
    with pytest.raises(InputError, match="there is no limit 'seed'"):
        studies(trials.quadratic).run(seed=3)
    with pytest.raises(InputError, match="^trials is 0"):
        studies(trials.quadratic).run(trials=0)
