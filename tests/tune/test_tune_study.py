"""A study on real workers: tables, scores of all kinds, limits, and what a trial is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trials
from distributed import Client
from trials import QUADRATIC as SPACE

from jobs.errors import InputError, UserCodeError
from jobs.tune import Study, space
from jobs.tune.summary import show

X = {"x": space.uniform(-1, 1)}


def _table(study: Study) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name in ("number", "state", "value") or name[:7] == "params_"}
            for row in study.rows()]  # fmt: skip


def _with(folder: Path, **dimensions: Any) -> dict[str, Any]:
    return {**(dimensions or X), "folder": space.choice([str(folder)])}


def test_a_study_finds_the_best_of_its_trials(studies: Any, tmp_path: Path) -> None:
    """The best is the row with the highest score, its value is the function's, and all is in the run folder."""
    study = studies(trials.quadratic, pruner="none")
    result = study.run(trials=20)
    table = study.rows()
    best = max(table, key=lambda row: row["value"])
    params = {"x": best["params_x"], "y": best["params_y"]}
    assert study.best == {"number": best["number"], "value": trials.quadratic(params), "params": params}
    assert result["trials"] == {"complete": 20, "pruned": 0, "failed": 0, "diverged": 0}
    assert result["success"]
    stored = json.loads((tmp_path / "run/result.json").read_text())
    assert stored["best"] == result["best"]
    frame = study.frame()
    assert list(frame.columns) == list(table[0])
    assert frame.loc[frame["value"].idxmax(), "number"] == best["number"]
    assert stored["job"] == "tune"
    lines = (tmp_path / "run/trials.csv").read_text().splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("number,state,value,params_x,params_y,")
    assert json.loads((tmp_path / "run/status.json").read_text())["progress"]["done"] == 20


def test_minimize(studies: Any) -> None:
    """With direction minimize the lowest score is best."""
    study = studies(trials.sleeps, X, direction="minimize")
    study.run(trials=8)
    assert study.best["value"] == min(row["value"] for row in study.rows())


def test_the_same_seed_gives_the_same_table(client: Client, tmp_path: Path) -> None:
    """Two runs with one seed have equal tables, one with another seed has other ones; so has one trial at a time."""
    tables = {}
    for name, seed in {"first": 5, "second": 5, "other": 6}.items():
        study = Study(client, trials.quadratic, SPACE, run=str(tmp_path / name), seed=seed)
        study.run(trials=12)
        tables[name] = _table(study)
    assert tables["first"] == tables["second"] != tables["other"]
    drawn = [space.draw(SPACE, 5, number) for number in range(12)]
    assert [{"x": row["params_x"], "y": row["params_y"]} for row in tables["first"]] == drawn


def test_more_trials_go_on_with_the_table(studies: Any, client: Client, tmp_path: Path) -> None:
    """A study that is given more trials keeps those it has, and ends as if it had been given all at once."""
    study = studies(trials.quadratic)
    study.run(trials=5)
    before = study.rows()
    study.run(trials=9)
    assert study.rows()[:5] == before
    through = Study(client, trials.quadratic, SPACE, run=str(tmp_path / "through"))
    through.run(trials=9)
    assert _table(study) == _table(through)
    assert study.result["attempt"] == 2


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"seed": 1}, "seed was 0, and is now 1"),
        ({"direction": "minimize"}, r"directions was \['maximize'\], and is now \['minimize'\]"),
        ({"space": X}, "space was .*'y'.*, and is now .*"),
        ({"objective": trials.sleeps}, "objective was 'trials:quadratic', and is now 'trials:sleeps'"),
        ({"metric": "accuracy"}, r"metric was \[\], and is now \['accuracy'\]"),
    ],
)
def test_another_study_in_the_run_folder(other: dict[str, Any], told: str, studies: Any) -> None:
    """A run folder takes one study only; the refusal names what differs, and nothing in the folder changes."""
    studies(trials.quadratic).run(trials=2)
    given = {"objective": trials.quadratic, "space": SPACE, **other}
    study = studies(given.pop("objective"), given.pop("space"), **given)
    with pytest.raises(InputError, match=f"belongs to another study: {told}; choose another run"):
        study.run(trials=4)
    again = studies(trials.quadratic)
    again.run(trials=3)
    assert again.result["attempt"] == 2


def test_kinds_of_scores(studies: Any) -> None:
    """Numbers of Python and NumPy are scores; NaN and infinity have diverged; all else fails, in one line."""
    kinds = ["nan", "inf", "none", "text", "bool", "list", "dict", "numpy", "array", "int"]
    study = studies(trials.of_x, {"x": space.choice(kinds)}, sampler="grid", pruner="none")
    result = study.run(trials=100)
    table = {row["params_x"]: row for row in study.rows()}
    assert result["trials"] == {"complete": 3, "pruned": 0, "failed": 5, "diverged": 2}
    assert {name: table[name]["value"] for name in ("numpy", "array", "int")} == {"numpy": 1.5, "array": 2.5, "int": 1}
    assert study.best["params"] == {"x": "array"}
    errors = {name: row["error"] for name, row in table.items() if row["state"] == "failed"}
    assert errors["none"] == "TypeError: the objective returned None, but must return a number"
    assert errors["text"] == "TypeError: the objective returned '0.5' (str), but must return a number"
    assert "say which of a counts, by the option metric" in errors["dict"]
    assert {table[name]["state"] for name in ("nan", "inf")} == {"diverged"}


def test_failed_trials_keep_their_traceback_and_the_search_goes_on(studies: Any, tmp_path: Path) -> None:
    """An exception fails its trial only; its line is in the table, its traceback in the run folder."""
    study = studies(trials.fails, X)
    result = study.run(trials=12)
    failed = [row for row in study.rows() if row["state"] == "failed"]
    assert result["trials"]["complete"] == 12 - len(failed) > 0
    assert {row["error"] for row in failed} == {"ValueError: x is negative"}
    for row in failed:
        assert row["params_x"] < 0
        text = (tmp_path / f"run/failures/{row['number']:04d}.txt").read_text()
        assert 'raise ValueError("x is negative' in text


def test_too_many_failures_end_the_job(studies: Any) -> None:
    """One failure more than --max-failures ends it as the user's error, with the last traceback."""
    study = studies(trials.fails, {"x": space.uniform(-2, -1)}, max_failures=2)
    with pytest.raises(UserCodeError, match=r"3 trials have failed \(max_failures 2\); .*x is negative") as caught:
        study.run(trials=50)
    assert "raise ValueError" in caught.value.details
    assert sum(row["state"] == "failed" for row in study.rows()) == 3


def test_all_trials_failed(studies: Any) -> None:
    """A study without a trial that did not fail is the user's error."""
    with pytest.raises(UserCodeError, match=r"all 3 trials have failed; see failures/"):
        studies(trials.leaves, X).run(trials=3)


def test_divergence_ends_a_trial_at_once(studies: Any, traces: Path) -> None:
    """A NaN that is reported ends the trial in that report, and it is never best."""
    study = studies(trials.nan_then_more, _with(traces), direction="minimize", pruner="none")
    result = study.run(trials=10)
    diverged = [row["number"] for row in study.rows() if row["params_x"] < 0]
    assert result["trials"]["diverged"] == len(diverged) > 0
    for number in diverged:
        assert [path.name for path in traces.glob(f"step-{number}-*")] == [f"step-{number}-1"]
    assert study.best["value"] >= 0


def test_a_function_that_swallows_the_stop_does_not_win(studies: Any) -> None:
    """A diverged trial stays diverged whatever its function returns after that."""
    result = studies(trials.swallows, X).run(trials=2)
    assert result["trials"]["diverged"] == 2
    assert result["best"] is None
    assert not result["success"]


def test_what_a_trial_is_told(studies: Any, traces: Path) -> None:
    """Number, parameters, worker and threads are its own; the seed depends on the study's seed and the number."""
    studies(trials.told, _with(traces), seed=3, pruner="none").run(trials=4)
    told = [json.loads((traces / f"about-{number}").read_text()) for number in range(4)]
    assert [about["number"] for about in told] == [0, 1, 2, 3]
    assert [about["params"] for about in told] == [space.draw(_with(traces), 3, number) for number in range(4)]
    assert len({about["seed"] for about in told}) == 4
    assert all(len(about["workers"]) == 1 and about["threads"] == 1 for about in told)


def test_metrics_and_constraints(studies: Any) -> None:
    """One metric of a dict is the objective; a trial that breaks a constraint is complete, and never best."""
    wide = {"x": space.uniform(-3, 3)}
    study = studies(trials.metrics, wide, metric="cost", constraints="excess", pruner="none")
    study.run(trials=15)
    table = study.rows()
    feasible = [row for row in table if row["params_x"] <= 1]
    assert 0 < len(feasible) < 15
    assert study.best["value"] == max(row["value"] for row in feasible)


def test_several_objectives_have_a_front(studies: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With several metrics the result is the non-dominated trials, which the summary lists with what they are of.

    It names entries of the returned dict that are not numbers, and so in no table.
    """
    study = studies(
        trials.histories, X, metric=["accuracy", "cost"], direction=["maximize", "minimize"], sampler="nsgaii"
    )
    result = study.run(trials=12)
    table = study.rows()
    beaten = {
        row["number"]
        for row in table
        for other in table
        if other["values_accuracy"] >= row["values_accuracy"]
        and other["values_cost"] <= row["values_cost"]
        and (other["values_accuracy"], other["values_cost"]) != (row["values_accuracy"], row["values_cost"])
    }
    assert [trial["number"] for trial in result["front"]] == sorted({row["number"] for row in table} - beaten)
    assert result["best"] is None
    assert set(result["front"][0]["values"]) == {"accuracy", "cost"}
    show(result, study.url)
    lines = capsys.readouterr().out.splitlines()
    heading = next(at for at, line in enumerate(lines) if line.startswith("Pareto front  "))
    listed = lines[heading + 1 : heading + 1 + len(result["front"])]
    for line, trial in zip(listed, result["front"], strict=True):
        assert line.startswith(f"  trial {trial['number']} ")
        assert f": x {trial['params']['x']:.4g}" in line
    assert result["left_out"] == ["history (ndarray)", "kind (str)"]
    assert any("history (ndarray), kind (str): not a number" in line for line in lines)


def test_a_missing_metric_fails_the_trial(studies: Any) -> None:
    """A dict without the metric fails, and names those that there are."""
    study = studies(trials.metrics, X, metric="loss", max_failures=0)
    with pytest.raises(UserCodeError, match="a dict without 'loss'; it has accuracy, cost, excess"):
        study.run(trials=2)


def test_target(studies: Any) -> None:
    """The search ends when a score is good enough, and says whose."""
    study = studies(trials.sleeps, X)
    result = study.run(trials=500, target=0.5)
    assert study.best["value"] >= 0.5
    assert sum(result["trials"].values()) < 500
    assert result["message"] == (
        f"trial {study.best['number']} has reached the target: {study.best['value']:.6g} (target 0.5)"
    )


def test_patience(studies: Any) -> None:
    """The search ends when so many trials in a row were no better."""
    study = studies(trials.sleeps, X)
    result = study.run(trials=500, patience=5)
    assert result["message"] == "no better score in 5 trials (patience 5)"
    ended = sorted((row for row in study.rows() if row["state"] == "complete"), key=lambda row: row["at"])
    assert len(ended) - 5 <= [row["number"] for row in ended].index(study.best["number"]) + 1


def test_seconds(studies: Any, traces: Path) -> None:
    """The search ends when its time is over; trials that were not done then are done when it is given more."""
    study = studies(trials.waits, _with(traces))
    result = study.run(trials=2, max_seconds=3)
    assert result["message"] == "the time is over (max_seconds 3)"
    assert result["unfinished"] == 2
    assert [row["state"] for row in study.rows()] == ["running", "running"]
    (traces / "go").touch()
    result = study.run(trials=2, max_seconds=60)
    assert result["trials"]["complete"] == 2
    assert [row["params_x"] for row in study.rows()] == [space.draw(_with(traces), 0, n)["x"] for n in (0, 1)]


def test_a_trial_out_of_time_is_stopped_at_its_report(studies: Any) -> None:
    """A trial that takes longer than --trial-timeout fails at its next report, and its worker lives on."""
    study = studies(trials.endless, X, trial_timeout=1, pruner="none", max_failures=100)
    study.run(trials=6)
    failed = [row for row in study.rows() if row["params_x"] < 0]
    assert failed
    for row in failed:
        assert row["error"] == "took longer than 1 s (trial_timeout)"


def test_an_objective_that_never_reports_is_told_of_once(studies: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """With a pruner, and nothing for it to go by, one line says so."""
    studies(trials.sleeps, X).run(trials=5)
    told = capfd.readouterr().err
    assert told.count("the objective has reported nothing") == 1
    assert told.count("or set pruner to none") == 1
    studies(trials.sleeps, X, run="second", pruner="none")


def test_what_is_wrong_for_all_trials_ends_the_search(studies: Any) -> None:
    """An InputError of the objective is told at once, with exit code 2, and no trial is failed for it."""
    study = studies(trials.refuses, X)
    with pytest.raises(InputError, match="there are no such data"):
        study.run(trials=5)
    assert {row["state"] for row in study.rows()} == {"running"}
