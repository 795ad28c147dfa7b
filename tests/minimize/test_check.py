"""A problem's contract, tried on its first rows: what is wrong is named with its numbers, before a run begins."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from jobs import connect
from jobs.cli import main
from jobs.errors import ClusterError, InputError
from jobs.minimize import Objective, softmax
from jobs.minimize.evaluate.check import QUICK, findings
from jobs.minimize.job import run
from jobs.minimize.options import Options

_random = np.random.default_rng(1)
X = _random.normal(size=(1000, 3))
Y = X @ [2, 1.5, 7] + _random.normal(size=1000)


class Line:
    """Least squares, with one fault; the true loss at the optimum is some 500."""

    rows = 1000

    def __init__(self, fault: str = "", dtype: str = "float64") -> None:
        self.fault, self.x, self.y = fault, X.astype(dtype), Y.astype(dtype)

    def x0(self) -> Any:
        return np.zeros(3)

    def load(self, start: int, stop: int) -> Any:
        rows = np.random.default_rng().integers(0, 1000, stop - start) if self.fault == "load" else range(start, stop)
        if self.fault == "greedy":
            rows = range(256)
        return self.x[list(rows)], self.y[list(rows)]

    def value_and_grad(self, theta: Any, data: Any) -> Any:
        x, y = data
        rest = x @ theta.astype(x.dtype) - y
        loss, gradient = 0.5 * rest @ rest, x.T @ rest
        if self.fault == "mean":
            loss, gradient = loss / len(y), gradient / len(y)
        if self.fault == "entry":
            gradient[2] = 0
        if self.fault == "sign":
            gradient = -gradient
        if self.fault == "tenth":
            gradient[1] *= 1.1
        if self.fault == "random":
            loss = float(loss) + 1e-3 * np.random.default_rng().random()
        if self.fault == "prior":
            loss += 100.0
        if self.fault == "slow":
            time.sleep(2 * QUICK)
            gradient[2] = 0
        return loss, gradient

    def hessp(self, theta: Any, v: Any, data: Any) -> Any:
        product = data[0].T @ (data[0] @ v)
        return product * ([1.5, 1, 1] if self.fault == "hessp" else 1)

    def hess(self, theta: Any, data: Any) -> Any:
        return data[0].T @ data[0] * (2 if self.fault == "hess" else 1)


def problem_named(fault: str) -> Line:
    return Line(fault)


class Deadly(Line):
    """Ends the process that loads its rows."""

    def load(self, start: int, stop: int) -> Any:
        os._exit(1)


FAULTS = {
    "load": r"of rows loaded twice, at one point, gave the losses [\d.]+ and [\d.]+: load\(0, 256\) must",
    "random": r"twice, at one point, gave the losses [\d.]+ and [\d.]+: it must not be random \(dropout, sampling\)",
    "mean": r"is a mean over rows, but must be a sum: rows 0 to 127 have the loss [\d.]+, rows 128 to 255",
    "entry": r"not that of the loss: its entry 2 is 0, but the loss changes by -?\d+[\d.]* per unit there",
    "sign": r"not that of the loss: its entry \d is -?[\d.]+, but the loss changes by",
    "tenth": r"not that of the loss: its entry 1 is",
    "hessp": r"hessp is not the gradient's derivative: entry 0 of its product with a random vector is",
    "hess": r"hess is not the gradient's derivative: entry \d",
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_named(fault: str, dtype: str) -> None:
    """Each fault with its numbers, which is the last finding; also where the problem computes in float32."""
    found = list(findings(Line(fault, dtype), np.zeros(3), 256))
    assert [finding.verdict for finding in found[:-1]] == ["right"] * (len(found) - 1)
    assert found[-1].verdict == "wrong"
    assert re.search(FAULTS[fault], found[-1].text), found[-1].text


@pytest.mark.parametrize("fault", ["prior", "greedy"])
def test_what_need_not_be_wrong_is_doubtful(fault: str) -> None:
    """A term in each block, and rows of whole blocks alone (files, groups of rows), look the same from here."""
    found = list(findings(Line(fault), np.zeros(3), 256))
    (doubt,) = [finding for finding in found if finding.verdict != "right"]
    assert doubt.verdict == "doubtful"
    assert doubt.text.startswith(
        "unless load takes whole blocks alone, loss and gradient are no sums over rows: rows 0 to"
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 2, 255, 256, 1000])
def test_a_right_one_is_right(rows: int, dtype: str) -> None:
    """On any number of rows."""
    found = list(findings(Line(dtype=dtype), np.zeros(3), rows))
    assert {finding.verdict for finding in found} == {"right"}
    assert [finding.what for finding in found][-3:] == ["gradient", "hessp", "hess"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shipped_problems_are_right(dtype: str) -> None:
    """Softmax regression, of both dtypes, with its products."""
    problem = softmax.problem("digits", None, dtype)
    assert {finding.verdict for finding in findings(problem, problem.x0(), 128)} == {"right"}


def test_a_kink_of_the_loss_is_no_error() -> None:
    """Absolute deviations have some between two points of a difference."""

    class Absolute(Line):
        def value_and_grad(self, theta: Any, data: Any) -> Any:
            x, y = data
            rest = x @ theta - y
            return np.abs(rest).sum(), x.T @ np.sign(rest)

    found = list(findings(Absolute(), np.zeros(3), 256))
    assert [finding.what for finding in found if finding.verdict != "right"] == ["hessp"], "which it does not have"


def test_a_loss_without_gradient_is_tried_as_a_sum() -> None:
    """value alone has no derivatives."""

    class Value:
        rows = 100

        def x0(self) -> Any:
            return np.zeros(3)

        def load(self, start: int, stop: int) -> Any:
            return X[start:stop]

        def value(self, theta: Any, data: Any) -> float:
            return float(((data - theta) ** 2).sum())

    assert [finding.verdict for finding in findings(Value(), np.zeros(3), 100)] == ["right"] * 3


def test_a_start_at_the_border_is_where_it_is_tried() -> None:
    """The logarithm of a negative number near it is NaN; where the start's own loss is infinite nothing can be said."""

    class Border(Line):
        def value_and_grad(self, theta: Any, data: Any) -> Any:
            with np.errstate(all="ignore", invalid="raise"):
                rest = np.sqrt(theta[0]) + np.log(theta[1] + 1.0)
            return len(data[0]) * rest, np.array([0.5 / np.sqrt(theta[0]), 1 / (theta[1] + 1), 0]) * len(data[0])

    found = list(findings(Border(), np.array([1e-9, 0.0, 0.0]), 256))
    assert [finding.what for finding in found if finding.verdict != "right"] == ["hessp"], "which it does not have"
    with Objective(None, Border()) as objective:
        assert objective.check(np.array([-1.0, 0.0, 0.0])) == [], "a sum raises it, too"


@pytest.mark.parametrize("evaluator", ["messages", "futures", "serial"])
def test_a_run_is_refused_before_it_begins(
    client: Client, evaluator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one worker, or in this process; nothing is left in the folder but that it was tried; --no-check goes on."""
    here = None if evaluator == "serial" else client
    how = {} if here is None else {"evaluator": evaluator}
    with Objective(here, Line("entry"), **how) as objective:
        assert objective.check()[-1].verdict == "wrong"
        assert "its entry 2 is 0" in objective.check(np.ones(3))[-1].text
    with Objective(here, Line(), **how) as objective:
        assert {finding.verdict for finding in objective.check()} == {"right"}


def test_the_job_checks_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a run's start, exit code 2; not with --no-check, and not where a journal is replayed."""
    (tmp_path / "line.py").write_text(
        "from test_check import Line\ndef wrong():\n    return Line('entry')\ndef right():\n    return Line()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    options = {"problem": "line:wrong", "workers": 0, "max_iterations": 3}
    folder = tmp_path / "run"
    with pytest.raises(InputError, match=r"its entry 2 is 0.*--no-check, in Python check=False, goes on without"):
        run(Options(**options, run=str(folder)))
    assert not list(folder.glob("attempts/*"))
    assert run(Options(**options, check=False, run=str(folder)))["fun"] > 0
    assert run(Options(**{**options, "max_iterations": 9}, run=str(folder)))["attempt"] == 2, "its journal is replayed"


def test_a_slow_problem_is_tried_for_sums_alone() -> None:
    """Derivatives take some 20 evaluations: `dask-jobs check` tries them."""
    found = list(findings(Line("slow"), np.zeros(3), 256, limit=QUICK))
    assert {finding.verdict for finding in found} == {"right"}
    assert list(findings(Line("slow"), np.zeros(3), 256))[-1].verdict == "wrong"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line per check, what a block costs and what size is good; what is wrong again as the last line."""
    (tmp_path / "lines.py").write_text(
        "from test_check import Line\ndef wrong():\n    return Line('mean')\ndef right():\n    return Line()\n"
    )
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--problem", "lines:right"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "value_and_grad, twice",
        "value_and_grad, of rows loaded twice",
        "value(a + b) = value(a) + value(b)",
        "gradient",
        "hessp",
        "hess",
        "block",
        "blocks",
        "block_rows",
    ]
    assert re.search(r"^block +1,000 rows, 32\.\d kB, [\d.e-]+ ms to load, [\d.e-]+ ms to evaluate$", lines[6])
    assert main(["check", "minimize", "--problem", "lines:wrong"]) == 2
    shown = capsys.readouterr()
    assert "wrong: value_and_grad is a mean over rows, but must be a sum" in shown.out
    assert shown.err.startswith("dask-jobs: error: value_and_grad is a mean over rows")
    assert main(["check", "tune"]) == 2
    assert "job 'tune' has nothing to check before a run; minimize has" in capsys.readouterr().err
    assert main(["check", "--method", "CG"]) == 2
    assert "there is no such option" in capsys.readouterr().err
    assert not json.dumps(sorted(path.name for path in tmp_path.iterdir())).count("runs")


@pytest.mark.parametrize("evaluator", ["messages", "futures"])
def test_rows_that_kill_their_worker_kill_no_more_of_them(tmp_path: Path, evaluator: str) -> None:
    """The check gives up, or says so; it does not try one worker after the other for ever."""
    with connect(workers=2) as client, Objective(client, Deadly(), evaluator=evaluator) as objective:
        with contextlib.suppress(ClusterError):  # of Dask's futures, which it tries on other workers
            assert objective.check() == []
