"""`minimize` of a problem from Python: a run folder, resumed by the same call, and what a notebook shows."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from numpy.typing import NDArray
from scipy.optimize import Bounds, OptimizeResult

from jobs.commands import predict
from jobs.errors import InputError, Stopped
from jobs.minimize import MinimizeResult, Objective, minimize, softmax

Vector = NDArray[np.float64]


class Shifted:
    """A parabola whose minimum is an attribute."""

    rows, block_rows = 8, 2

    def __init__(self, shift: float = 3.0) -> None:
        """Have the minimum at `shift`."""
        self.shift = shift

    def x0(self) -> Vector:
        """Return zeros."""
        return np.zeros(3)

    def load(self, start: int, stop: int) -> int:
        """Return the number of rows."""
        return stop - start

    def value_and_grad(self, theta: Vector, rows: int) -> tuple[float, Vector]:
        """Return the loss and its gradient, not quadratic, so that there are some iterations."""
        away = theta - self.shift * np.arange(1, 4)
        return rows * float(np.sum(away**4 + away**2)), rows * (4 * away**3 + 2 * away)


def test_a_run_as_the_command_has_it(client: Client, tmp_path: Path) -> None:
    """It is SciPy's result, with the same bits on workers and here; the folder's is returned when it is asked again."""
    run = str(tmp_path / "run")
    seen: list[Vector] = []
    result = minimize(Shifted(), client=client, run=run, method="BFGS", tol=1e-6, callback=seen.append)
    assert isinstance(result, OptimizeResult)
    assert result.success
    assert len(seen) == result.nit
    assert np.allclose(result.x, [3, 6, 9], atol=1e-3)
    assert (tmp_path / "run/journal").is_dir()
    again = minimize(Shifted(), run=run, method="BFGS", tol=1e-6)
    assert again.summary["already"]
    serial = minimize(Shifted(), run=str(tmp_path / "other"), method="BFGS", tol=1e-6)
    with Objective(client, Shifted()) as objective:
        plain = minimize(objective, method="BFGS", tol=1e-6)
    for other in (again, serial, plain):
        assert np.array_equal(other.x, result.x)
        assert (other.fun, other.nit, other.gradient_norm) == (result.fun, result.nit, result.gradient_norm)


def test_a_run_goes_on(tmp_path: Path) -> None:
    """What stops it leaves its journal, which the same call replays; more iterations go on as well."""
    run = str(tmp_path / "run")
    whole = minimize(Shifted(), run=str(tmp_path / "whole"))

    def stops(_: Vector) -> None:
        raise Stopped("by the test")

    with pytest.raises(Stopped):
        minimize(Shifted(), run=run, callback=stops)
    result = minimize(Shifted(), run=run)
    assert result.summary["diagnostics"]["replayed"] > 0
    assert np.array_equal(result.x, whole.x)


def test_another_problem_is_another_run(tmp_path: Path) -> None:
    """Attributes of a problem and the source of a class that is sent by value count, also where the result is there."""
    run = str(tmp_path / "run")
    minimize(Shifted(), run=run)
    with pytest.raises(InputError, match="attributes of the problem was"):
        minimize(Shifted(2.0), run=run)
    with pytest.raises(InputError, match=r"belongs to another run: .*start was"):
        minimize(Shifted(), np.ones(3), run=run)

    class Other(Shifted):
        def load(self, start: int, stop: int) -> int:
            return stop - start + 0

    local = Objective(None, Other()).identity
    minimize(Other(), run=str(tmp_path / "local"))
    with pytest.raises(InputError, match=r"its problem, .*Other, was given in Python, where no command finds it"):
        predict(str(tmp_path / "local"), data="digits")
    name = f"source of {__name__}:{Other.__qualname__}"
    assert local == Objective(None, Other()).identity
    assert name in local
    Other.load = Shifted.load  # type: ignore[method-assign]
    assert Objective(None, Other()).identity[name] != local[name]


def test_arguments(tmp_path: Path) -> None:
    """Bounds, starts and options are those of SciPy; what is wrong is said in Python's names, before a run begins."""
    run = str(tmp_path / "run")
    result = minimize(Shifted(), [1, 1, 1], run=run, bounds=Bounds(0, [2, 20, np.inf]), options={"maxcor": 5})
    assert np.allclose(result.x, [2, 6, 9], atol=1e-3)
    folder = str(tmp_path / "none")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"maxiter": 3}, "minimize: there is no option 'maxiter'"),
        ({"workers": 3}, "minimize: there is no option 'workers'"),
        ({"options": {"disp": True}}, "options.disp: L-BFGS-B takes no option 'disp'"),
        ({"options": {"maxcor": 2**70}}, "options.maxcor is .*, but must be a number"),
        ({"x0": [1]}, "x0 has 1 entries, but the problem has 3 parameters"),
        ({"bounds": [1, 2, 3]}, "bounds is"),
        ({"l2": -1}, "l2 is -1"),
    ]
    for options, message in wrong:
        with pytest.raises(InputError, match=f"^{message}") as error:
            minimize(Shifted(), run=folder, **options)
        assert "--" not in str(error.value)
    with pytest.raises(InputError, match="^run is for a problem, but an Objective was given"):
        minimize(Objective(None, Shifted()), run=folder)
    assert not Path(folder).exists()


def test_in_another_thread(tmp_path: Path) -> None:
    """Signals are the main thread's, so a run in another one leaves them alone."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(minimize(Shifted(), run=str(tmp_path / "run"))))
    thread.start()
    thread.join(60)
    assert results[0].success


def test_what_a_notebook_shows(tmp_path: Path) -> None:
    """A compact table, escaped, and the report in a frame that has no access to the notebook."""
    result = minimize(softmax.problem("digits"), run=str(tmp_path / "<b>run"), l2=1.0, max_iterations=3)
    shown = result._repr_html_()
    assert isinstance(result, MinimizeResult)
    assert "not converged" in shown
    assert "&lt;b&gt;run" in shown
    assert "<b>run" not in shown
    report = result.report()
    assert report == str(tmp_path / "<b>run/report.html")
    assert Path(report).stat().st_size > 100_000
    frame = report._repr_html_()
    assert frame.startswith('<iframe sandbox="allow-scripts allow-downloads" srcdoc="&lt;!DOCTYPE')
    assert json.loads((tmp_path / "<b>run/result.json").read_text())["identity"]["method"] == "L-BFGS-B"
