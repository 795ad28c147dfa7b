"""What a minimization found reaches a person: in result.json, the summary and the log."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from problems import LeastSquares

from jobs.errors import InputError
from jobs.minimize import Objective, objective, softmax
from jobs.minimize.display.summary import show
from jobs.minimize.evaluate.evaluator import SerialEvaluator, Vector
from jobs.minimize.evaluate.request import Request
from jobs.minimize.job import run
from jobs.minimize.options import Options
from jobs.minimize.problems.base import load_problem


@dataclass(frozen=True)
class Named(LeastSquares):
    """A linear fit whose parameters have names."""

    def names(self):
        return ["slope", "offset", "curvature"][: self.n]


@dataclass(frozen=True)
class Counting(LeastSquares):
    """A linear fit that counts wrongly."""

    def correct(self, theta, data):
        raise ZeroDivisionError("a bug of mine")


def _result(problem: str, folder: Path, **more: Any) -> dict[str, Any]:
    return run(Options(problem=problem, workers=0, run=str(folder), **more))


def _shown(result: dict[str, Any], capsys: pytest.CaptureFixture[str], folder: str = "runs/it") -> list[str]:
    show(result, folder)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_result_json_has_theta(tmp_path: Path) -> None:
    """All of x.npy's bits stand in result.json, with the names that the problem gives."""
    assert _result("test_result:Named", tmp_path)["names"] == ["slope", "offset", "curvature"]
    result = json.loads((tmp_path / "result.json").read_bytes())
    x = np.load(tmp_path / "x.npy")
    assert np.array_equal(np.array(result["x"]), x)
    assert result["names"] == ["slope", "offset", "curvature"]
    assert result["x_norm"] == np.linalg.norm(x)


def test_the_summary_has_theta(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Up to 12 numbers are printed, with names a row each; of more the norm, and where they are."""
    named = _result("test_result:Named", tmp_path / "named")
    lines = _shown(named, capsys)
    for name, value in zip(named["names"], named["x"], strict=True):
        assert any(line.split() == [name, f"{value:.10g}"] for line in lines), lines
    plain = _result("problems:LeastSquares", tmp_path / "plain")
    assert any(
        line.split(None, 1) == ["x", ", ".join(f"{v:.10g}" for v in plain["x"])] for line in _shown(plain, capsys)
    )
    many = run(Options(workers=0, max_iterations=2, run=str(tmp_path / "many")))
    text = f"650 numbers of norm {many['x_norm']:.6g}, in runs/it/x.npy"
    assert any(line.split(None, 1) == ["x", text] for line in _shown(many, capsys))


def test_lost_workers_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary says how many workers were lost, if any."""
    result = _result("problems:LeastSquares", tmp_path / "run")
    assert not any("lost" in line for line in _shown(result, capsys))
    result["diagnostics"]["workers_lost"] = 2
    assert any(line.split(None, 2)[:2] == ["lost", "workers"] for line in _shown(result, capsys))


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY", b"short", b"other", b"longer"])
def test_theta_that_was_lost_is_told(content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary of a run that has ended says in its last line that x.npy is not there, and what makes it again."""
    result = _result("problems:LeastSquares", tmp_path)
    assert "warning" not in "".join(_shown(result, capsys, str(tmp_path)))
    file = tmp_path / "x.npy"
    whole = file.read_bytes()
    other = io.BytesIO()
    np.save(other, np.zeros(7))
    damaged = {b"short": whole[:-1], b"longer": whole + b"1", b"other": other.getvalue()}
    file.unlink() if content is None else file.write_bytes(damaged.get(content, content))
    again = _result("problems:LeastSquares", tmp_path)
    wrong, what = ("missing", "result.json") if content is None else ("damaged", "it and result.json")
    assert _shown(again, capsys, str(tmp_path))[-1] == (
        f"warning: {file} is {wrong}; delete {what} and give the same command: its journal makes it again"
    )
    file.unlink(missing_ok=True)
    (tmp_path / "result.json").unlink()
    restored = _result("problems:LeastSquares", tmp_path)
    assert file.read_bytes() == whole
    assert restored["diagnostics"]["evaluations"] == 0
    assert "warning" not in "".join(_shown(restored, capsys, str(tmp_path)))


def test_a_long_theta_is_not_listed(tmp_path: Path) -> None:
    """More than 1,000 numbers are in x.npy only, and their names are not asked for."""
    x = np.random.default_rng(0).random((40, 600))
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(40) % 2)
    result = run(Options(data=f"npz:{tmp_path / 'data.npz'}", workers=0, max_iterations=2, run=str(tmp_path / "run")))
    assert result["parameters"] == 1202
    assert not {"x", "names"} & result.keys()
    assert result["x_norm"] == np.linalg.norm(np.load(tmp_path / "run/x.npy"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("workers", [0, 2])
def test_accuracy_of_softmax(workers: int, dtype: str, tmp_path: Path, client_of: Any) -> None:
    """The accuracy is the share of rows whose own class has the largest score, also on workers."""
    problem = softmax.problem("digits", dtype=dtype)
    theta = np.random.default_rng(1).normal(size=650)
    weights, biases = problem.weights(theta)
    x, y = problem.data.read(0, problem.rows)
    scores = x.reshape(len(x), -1) / 16 @ weights + biases
    with Objective(client_of(workers) if workers else None, problem) as objective:
        assert objective.accuracy(theta) == np.mean(scores.argmax(axis=1) == y)


def test_accuracy_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Softmax's result, and its summary, have the accuracy; a problem that does not count has none."""
    result = run(Options(workers=0, l2=1.0, run=str(tmp_path / "digits")))
    assert 0.98 < result["accuracy"] < 0.99
    assert any(
        line.split(None, 1) == ["accuracy", "98.50% of the rows it was fitted to"] for line in _shown(result, capsys)
    )
    assert "accuracy" not in _result("problems:LeastSquares", tmp_path / "plain")


def test_a_bug_in_counting_loses_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error in `correct` is told beside the result, which stands."""
    result = _result("test_result:Counting", tmp_path)
    assert result["success"]
    text = " ".join(" ".join(_shown(result, capsys)).split())
    assert "not known: correct on block 0" in text
    assert "the user's code raised ZeroDivisionError: a bug of mine" in text


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a"], "returned 1 names, but must return 3 texts"), ([1, 2, 3], "must return 3 texts, one a parameter")],
)
def test_wrong_names_are_found_before_work_begins(names: list[Any], message: str) -> None:
    """Names that are too few, or no texts, are refused at once."""

    class Wrong(LeastSquares):
        def names(self):
            return names

    with pytest.raises(InputError, match=message):
        load_problem(Wrong())


def test_names_of_softmax() -> None:
    """The names say how theta is laid out: class by class, then the biases."""
    problem = softmax.problem("digits")
    theta = np.arange(650.0)
    weights, biases = problem.weights(theta)
    value = dict(zip(problem.names(), theta, strict=True))
    assert value["weight[3, 17]"] == weights[17, 3]
    assert value["bias[9]"] == biases[9]


def test_a_releases_driver_logs_its_result(tmp_path: Path) -> None:
    """One line of the driver's log holds result.json and the options; so does that of a driver that comes later."""
    place = {"run": str(tmp_path / "run"), "workers": 0}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"data": "digits", "max_iterations": 2, **place}))
    command = [sys.executable, "-m", "jobs.pods.driver", "minimize", "--config", str(tmp_path / "job.yaml")]
    for _ in range(2):
        done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr
        logged = [json.loads(line) for line in done.stderr.splitlines() if '"event": "result"' in line]
        assert len(logged) == 1
        result = json.loads((tmp_path / "run/result.json").read_bytes())
        assert {name: logged[0]["result"][name] for name in result} == result
        assert logged[0]["run"] == str(tmp_path / "run")
        assert logged[0]["options"] == yaml.safe_load((tmp_path / "run/options.yaml").read_bytes())
        x = np.load(io.BytesIO((tmp_path / "run/x.npy").read_bytes()))
        assert np.array_equal(np.array(logged[0]["result"]["x"]), x)


def test_run_id(tmp_path: Path) -> None:
    """A run has one id, whatever its attempts; the same command in another folder makes another run."""
    first = _result("problems:LeastSquares", tmp_path / "a", max_iterations=1)
    again = _result("problems:LeastSquares", tmp_path / "a")
    other = _result("problems:LeastSquares", tmp_path / "b")
    assert again["attempt"] == 2
    assert len(first["run_id"]) == 16
    assert first["run_id"] == again["run_id"] != other["run_id"]


class Broken(SerialEvaluator):
    """A sum with a bug."""

    def __call__(self, request: Request) -> Vector:
        """Raise what SciPy raises for a bad option."""
        raise ValueError("a bug of ours")


def test_an_error_in_an_evaluation_is_not_one_of_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ValueError below SciPy is not taken for its refusal of an option, whatever the module that raised it."""
    monkeypatch.setattr(objective, "SerialEvaluator", Broken)
    with pytest.raises(ValueError, match="a bug of ours"):
        _result("test_result:Named", tmp_path)
