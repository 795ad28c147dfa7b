"""result.json as it is read again: damaged, rebuilt from a log without the rest, and by which code its trials are."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import trials
import yaml

from jobs import cli
from jobs.commands import write_report
from jobs.errors import UserCodeError
from jobs.storage import open_storage
from jobs.tune import Study, space

MODULE = "SPACE = {'x': {'uniform': [0, 1]}}\ndef train(parameters):\n    return FACTOR * parameters['x']\n"


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that gives the search's command, by an objective with a factor; returns its code and output."""
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments: str, factor: int = 1) -> tuple[int, str, str]:
        (tmp_path / "factored.py").write_text(MODULE.replace("FACTOR", str(factor)))
        monkeypatch.delitem(sys.modules, "factored", raising=False)
        given = ["tune", "--objective", "factored:train", "--workers", "1", "--run", str(tmp_path / "run")]
        capsys.readouterr()
        code = cli.main([*given, *arguments])
        return code, *capsys.readouterr()

    return run


def _damaged(result: dict[str, Any]) -> list[Any]:
    """Return a result without each field that is read again, and with another type there, and with next to nothing."""
    names = [name for name in result if name not in ("job", "run_id", "objective")]
    without = [{name: value for name, value in result.items() if name != gone} for gone in names]
    other = [{**result, name: [{}]} for name in names]
    best = [{**result, "best": {**result["best"], name: None}} for name in result["best"]]
    nothing = {"job": "tune", "identity": result["identity"]}
    return [*without, *other, *best, nothing, {"job": "tune", "identity": [1]}]


def test_a_damaged_result(search: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A result that lacks a field, or has one of another type, is named in one line by all who read it, with code 2."""
    assert search("--trials", "2")[0] == 0
    path = tmp_path / "run/result.json"
    good = json.loads(path.read_text())
    told = f"dask-jobs: error: {path} is damaged ("
    for damaged in _damaged(good):
        path.write_text(json.dumps(damaged))
        for command in ("show", "report"):
            capsys.readouterr()
            code = cli.main([command, str(tmp_path / "run")])
            out, err = capsys.readouterr()
            assert (code, out, err.count("\n"), err[: len(told)]) == (2, "", 1, told), damaged
        code, out, err = search("--trials", "2")
        assert (code, out, err.count("\n"), err[: len(told)]) == (2, "", 1, told), damaged
        assert err.endswith("); remove it: the job's command goes on from the journal\n")
    path.unlink()
    assert search("--trials", "2")[0] == 0
    made = json.loads(path.read_text())
    assert (made["best"], made["codes"]) == (good["best"], good["codes"])


def _rebuilt(result: dict[str, Any], run: Path, rebuilt: Path) -> Path:
    rebuilt.mkdir()
    (rebuilt / "options.yaml").write_bytes((run / "options.yaml").read_bytes())
    (rebuilt / "result.json").write_text(json.dumps({n: v for n, v in result.items() if n != "already"}))
    return rebuilt


def _text(run: Path) -> str:
    write_report(open_storage(run))
    report = (run / "report.html").read_text()
    return re.sub(r"<[^>]+>", "", re.sub(r"<(script|style).*?</\1>", "", report, flags=re.DOTALL))


def test_a_folder_that_was_rebuilt(studies: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where only options and result are, the report has the best trial, and the summary names no file that is not."""
    from trials import fails

    result = studies(fails).run(trials=8)
    assert result["trials"]["failed"]
    rebuilt = _rebuilt(result, tmp_path / "run", tmp_path / "rebuilt")
    text = _text(rebuilt)
    best = result["best"]
    assert "The table of trials is not in this folder." in text
    assert f"The best (largest) value is {best['value']:.6g}, of trial {best['number']}." in text
    snippet = re.search(r"a click selects them all.\n(.*?)\n\n", text, re.DOTALL)
    assert snippet is not None
    assert yaml.safe_load(snippet[1]) == best["params"]
    capsys.readouterr()
    assert cli.main(["show", str(rebuilt)]) == 0
    out = capsys.readouterr().out
    assert "trials.csv" not in out
    assert "failures/" not in out
    assert f"dask-jobs report {rebuilt}" in out


def test_the_front_of_a_folder_that_was_rebuilt(studies: Any, tmp_path: Path) -> None:
    """Several objectives have the front there, with all values and hyperparameters."""
    from trials import metrics

    options = {"metric": ["accuracy", "cost"], "direction": ["maximize", "minimize"]}
    result = studies(metrics, **options).run(trials=6)
    text = _text(_rebuilt(result, tmp_path / "run", tmp_path / "rebuilt"))
    assert f"{len(result['front'])} trials are non-dominated in accuracy and cost: none is better in one and as" in text
    for trial in result["front"]:
        assert f"{trial['values']['cost']:.6g}" in text


def test_the_code_of_the_best_trial(search: Any, tmp_path: Path) -> None:
    """Where there are several codes the summary, the result and the report say by which one the best trial ended."""
    search("--trials", "3", factor=100)
    (old,) = json.loads((tmp_path / "run/result.json").read_text())["codes"]
    code, out, err = search("--trials", "5")
    assert code == 2
    new = re.search(rf"; code was {old}, and is now (\w{{8}}); --accept-new-code", err)
    assert new is not None
    code, out, _ = search("--trials", "5", "--accept-new-code")
    best = json.loads((tmp_path / "run/result.json").read_text())["best"]
    assert best["code"] == old
    assert f"(trial {best['number']}, by code {old})" in out
    assert out.splitlines()[-1].endswith(f"3 trials by code {old}, 2 by {new[1]} (now)")
    assert f"code{old}" in _text(tmp_path / "run").replace("\n", "")
    result = json.loads((tmp_path / "run/result.json").read_text())
    text = _text(_rebuilt(result, tmp_path / "run", tmp_path / "rebuilt"))
    assert f"code{old}" in text.replace("\n", "")
    assert f"Trials ended by different codes: 3 trials by code {old}, 2 by {new[1]} (now)." in text


def test_new_code_needs_more_trials(search: Any) -> None:
    """Where no trial is left to run by the new code, the first line says what to ask for."""
    search("--trials", "2")
    _, out, _ = search("--trials", "2", "--accept-new-code", factor=2)
    assert out.startswith("done: all 2 trials are done, none of them by the new code: a larger --trials runs more\n")
    _, out, _ = search("--trials", "3", "--accept-new-code", factor=2)
    assert out.startswith("done: all 3 trials are done\n")


def test_when_all_have_failed_the_first_traceback_is_told(studies: Any) -> None:
    """The error has it as details, for a run folder may be lost with its pod."""
    from trials import mumbles

    study: Study = studies(mumbles)
    with pytest.raises(UserCodeError, match="all 2 trials have failed; see failures/ in run") as caught:
        study.run(trials=2)
    assert caught.value.details.startswith("trial 0: Mumbled\n\nTraceback")
    assert "in mumbles" in caught.value.details


def test_lists_as_choices(studies: Any, tmp_path: Path) -> None:
    """The function gets a list; each sampler takes it, and so do the tables and the report."""
    dimensions = {"layers": space.choice([[64], [64, 32]]), "x": space.uniform(0, 1, step=0.25)}
    for trials_of, sampler in enumerate(("random", "grid", "tpe", "cmaes"), start=2):
        study = studies(trials.of_layers, dimensions, sampler=sampler)
        study.run(trials=2 * trials_of)
    assert {str(row["params_layers"]): row["value"] for row in study.rows()} == {"[64]": 64.0, "[64, 32]": 96.0}
    assert study.best["params"]["layers"] == [64, 32]
    write_report(open_storage(study.url))
    assert "[64, 32]" in (tmp_path / "run/report.html").read_text()
