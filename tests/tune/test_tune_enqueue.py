"""Hyperparameters that run first, functions that are called at each trial's end, and user attributes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import asking
import pytest
import trials
from distributed import Client

from jobs.errors import InputError, UserCodeError
from jobs.options import parse
from jobs.tune import Study, space
from jobs.tune.options import Options

X = {"x": space.uniform(0, 1, step=0.25), "y": space.integer(1, 9), "c": space.choice(["a", [1, 2]])}


def noted(params, trial):
    """Return x, and note what it is."""
    trial.set_user_attr("kind", [params["y"], {"c": params["c"]}])
    return params["x"]


def _params(study: Study) -> list[list[Any]]:
    return [[row[f"params_{name}"] for name in X] for row in study.rows()]


def test_known_hyperparameters_run_first(studies: Any, tmp_path: Path) -> None:
    """Those of the file run in its order, what they lack is proposed, and a search that goes on repeats none."""
    (tmp_path / "known.yaml").write_text("- {x: 0.5, y: 3, c: [1, 2]}\n- {x: 1}\n- {x: 1}\n")
    study = studies(noted, X, enqueue=str(tmp_path / "known.yaml"))
    study.run(trials=2)
    study.enqueue({"x": 0, "c": (1, 2)})
    study.run(trials=4)
    study.run(trials=5)
    table = _params(study)
    assert table[0] == [0.5, 3, [1, 2]]
    assert [row[0] for row in table[:4]] == [0.5, 1, 1, 0]
    assert table[4] == list(space.draw(X, 0, 4).values())
    assert table[1][1:] == list(space.draw(X, 0, 1).values())[1:]
    assert study.rows()[0]["user_attrs_kind"] == [3, {"c": [1, 2]}]
    assert '"[3, {""c"": [1, 2]}]"' in (tmp_path / "run/trials.csv").read_text()


def test_the_option(tmp_path: Path) -> None:
    """On the command line it is a path, in a --config file a path or the list itself."""
    assert parse(Options, "dask-jobs tune", ["--enqueue", "known.yaml"]).enqueue == "known.yaml"
    (tmp_path / "job.yaml").write_text("enqueue: [{x: 1}, {x: 0.5}]\n")
    assert parse(Options, "dask-jobs tune", ["--config", str(tmp_path / "job.yaml")]).enqueue == [{"x": 1}, {"x": 0.5}]


def test_known_hyperparameters_of_an_objective_that_asks(client: Client, tmp_path: Path) -> None:
    """Some of those that it asks for are enough."""
    study = Study(
        client, asking.conditional, run=str(tmp_path / "run"), enqueue=[{"deep": True, "units": 32, "x": 2.0}]
    )
    study.run(trials=2)
    first = study.rows()[0]
    assert (first["params_deep"], first["params_units"], first["params_x"]) == (True, 32, 2.0)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"z": 1}, "enqueue, entry 1: 'z' is not in the space"),
        ({"x": 2}, "enqueue, entry 1: x is 2, but must be in {uniform: [0.0, 1.0], step: 0.25}"),
        ({"x": 0.3}, "x is 0.3, but must be in"),
        ({"y": 1.5}, "y is 1.5, but must be in {integer: [1, 9]}"),
        ({"c": "b"}, "c is 'b', but must be in {choice: "),
        ([1], "enqueue"),
    ],
)
def test_what_cannot_be_enqueued(entry: Any, told: str, studies: Any, tmp_path: Path) -> None:
    """A name or a value that is not in the space is refused before work begins."""
    with pytest.raises(InputError) as caught:
        studies(noted, X, enqueue=[entry])
    assert told in str(caught.value)
    (tmp_path / "known.yaml").write_text("x")
    with pytest.raises(InputError, match="must hold a list of hyperparameters"):
        studies(noted, X, enqueue=str(tmp_path / "known.yaml"))


def test_callbacks(client: Client, tmp_path: Path) -> None:
    """They are called here with Optuna's study and trial; they may stop the search, or add to it."""
    seen: list[tuple[int, int]] = []

    def note(study: Any, trial: Any) -> None:
        seen.append((trial.number, len([one for one in study.trials if one.state.is_finished()])))
        if len(seen) == 1:
            study.enqueue_trial({"x": 0.25, "y": 9})
        if len(seen) == 5:
            study.stop()

    study = Study(client, noted, X, run=str(tmp_path / "run"), callbacks=[note])
    result = study.run(trials=50)
    assert result["message"] == "a callback has stopped the search"
    assert [count for _, count in seen] == [1, 2, 3, 4, 5]
    assert [0.25, 9] in [row[:2] for row in _params(study)]


def test_a_callback_that_raises(client: Client, tmp_path: Path) -> None:
    """It ends the search as an error of the user's code."""

    def broken(_study: Any, _trial: Any) -> None:
        raise ValueError("no")

    with pytest.raises(UserCodeError, match=r"callback .*broken: .*no"):
        Study(client, noted, X, run=str(tmp_path / "run"), callbacks=[broken]).run(trials=5)


def test_terminators(studies: Any) -> None:
    """One of Optuna's that needs no further package ends the search."""
    from optuna.terminator import Terminator
    from optuna.terminator.improvement.evaluator import BestValueStagnationEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        terminator = Terminator(BestValueStagnationEvaluator(max_stagnation_trials=3), min_n_trials=4)
    study = studies(trials.quadratic, terminator=terminator, pruner="none")
    study.run(trials=60)
    assert len(study.rows()) < 60
    assert study.result["message"] == "a callback has stopped the search"
