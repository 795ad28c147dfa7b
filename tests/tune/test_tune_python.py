"""`Study`, the search from Python: its options, limits, results and tables."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import trials
from distributed import Client
from waiting import until

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


def test_a_study_as_optunas(studies: Any, tmp_path: Path) -> None:
    """best_params, best_value and trials are Optuna's; before a trial is complete there is no best one."""
    study = studies(trials.quadratic)
    assert (study.trials, study.best) == ([], None)
    assert repr(study) == f"<Study of trials:quadratic in {tmp_path / 'run'}: 0 trials>"
    assert "trials</th><td style" in study._repr_html_()
    with pytest.raises(InputError, match="^this study has no best trial: no trial is complete"):
        _ = study.best_params
    study.run(trials=4)
    loaded = load_study(open_storage(tmp_path / "run"))
    assert (study.best_params, study.best_value) == (loaded.best_params, loaded.best_value)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    again = studies(trials.quadratic)
    for one in (study, again):
        assert f"{study.best_value:.10g}" in one._repr_html_()
        assert str(tmp_path / "run") in one._repr_html_()
    assert "srcdoc" in again.report()._repr_html_()
    assert (tmp_path / "run/report.html").is_file()


def test_a_study_that_is_stopped(studies: Any) -> None:
    """`stop` ends it with what is done, and the same call goes on."""
    study = studies(trials.sleeps, X, trials=10_000)
    searching = threading.Thread(target=study.run)
    searching.start()
    until(lambda: any(trial.state.is_finished() for trial in study.trials))
    study.stop()
    searching.join(60)
    done = sum(study.result["trials"].values())
    assert (study.result["message"], study.result["stopped"]) == ("stopped by Study.stop()", True)
    assert 1 <= done < 10_000
    assert study.run(trials=done + 1)["message"] == f"all {done + 1:,} trials are done"
    assert study.run(trials=done + 1)["already"]
