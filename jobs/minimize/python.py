"""`minimize` from Python: on an objective as SciPy does it, or of a problem as the command does it, on a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from jobs.errors import InputError, nearest
from jobs.minimize import job
from jobs.minimize.display import summary
from jobs.minimize.entry import JOB
from jobs.minimize.job import Given
from jobs.minimize.objective import Objective
from jobs.minimize.optimize.methods import find
from jobs.minimize.optimize.minimize import bounds_of
from jobs.minimize.optimize.minimize import minimize as on_objective
from jobs.minimize.options import Options
from jobs.minimize.problems.base import CheckedProblem, check_theta, load_problem
from jobs.minimize.softmax import Softmax
from jobs.options import validated
from jobs.runs.folder import read_array
from jobs.storage import open_storage
from jobs.usercode import call

if TYPE_CHECKING:
    from distributed import Client

    from jobs.report.notebook import Report

Vector = NDArray[np.float64]
OURS = (
    *("config", "scheduler", "workers", "threads", "connect_timeout", "cpu"),
    *("problem", "data", "classes", "dtype", "x0"),
)
"""Options without a use here: a problem has its data, and a client its workers."""
COUNTS = ("nit", "nfev", "njev", "nhev", "gradient_norm", "accuracy")
"""Entries of a result that SciPy's has too, or that belong beside them."""


class MinimizeResult(optimize.OptimizeResult):  # type: ignore[misc]  # SciPy is untyped here
    """SciPy's result of a run, with `run`, its folder, and `summary`, the content of its result.json.

    In a notebook it is a compact table; `report` shows the plots.
    """

    def report(self) -> Report:
        """Write report.html into the run folder, and return its path or URL; a notebook shows the report.

        Raises:
            InputError: a file of the folder cannot be read.
            ClusterError: the storage failed.
        """
        from jobs.report.notebook import Report

        return Report.write(self.run, JOB.load_report())

    def _repr_html_(self) -> str:
        from jobs.report.notebook import table

        return table(*summary.head(self.summary), [*summary.lines(self.summary, self.run), ("run folder", self.run)])


def minimize(
    problem: Any,
    x0: Any = None,
    *,
    client: Client | None = None,
    run: str | None = None,
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> optimize.OptimizeResult:
    """Minimize an `Objective`, or a problem with a run folder, by any method of `scipy.optimize.minimize`.

    Of an objective the arguments are those of `jobs.minimize.optimize.minimize.minimize`, without `client` and `run`.

    Of a problem, all is as with the command `dask-jobs minimize`: journal, progress, `result.json`, and the same call
    goes on where it was, also after the process was killed.

    Args:
        problem: an `Objective`; or a problem, an object or 'module:function' or 'file.py:function'.
        x0: the start, (n,); the problem's x0() if None.
        client: a Dask client, such as `jobs.connect` gives; without one all is computed in this process.
        run: the run folder, a path or s3://bucket/prefix; `runs/minimize-DATE-TIME` if None.
        callback: called with theta, (n,), after each iteration.
        options: as of the command, with `_` for `-`: method, max_iterations, tol, options, bounds, l1, l2, ...

    Returns:
        SciPy's result; of a problem, a `MinimizeResult`.

    Raises:
        InputError: an argument cannot be used, or the folder is another run's.
        JobError: it failed, or was stopped; the same call goes on.
    """
    if isinstance(problem, Objective) or hasattr(problem, "has_gradient"):
        if run is not None or client is not None:
            name = "run" if run is not None else "client"
            raise InputError(f"{name} is for a problem, but an Objective was given: give the problem in its place")
        return on_objective(problem, x0, callback=callback, **options)
    for name in options:
        if name not in Options.model_fields or name in OURS:
            known = [field for field in Options.model_fields if field not in OURS]
            raise InputError(f"minimize: there is no option {name!r}{nearest(name, known)}")
    made = load_problem(problem)
    given = Given(made, None if x0 is None else check_theta("x0", x0, made.x0.size), client, callback)
    url = str(run or f"runs/minimize-{time.strftime('%Y%m%d-%H%M%S')}")
    place: dict[str, Any] = {"run": url, **({} if client else {"workers": 0})}
    if (bounds := options.get("bounds")) is not None:
        options["bounds"] = _pairs(bounds, made.x0.size)
    checked = validated(Options, {**options, **_named(made), **place})
    return _result(job.run(checked, given), url)


def _named(made: CheckedProblem) -> dict[str, Any]:
    """Return the options that say what a problem is; a data set that has a spec is named by it."""
    problem = made.problem
    spec = getattr(problem.data, "spec", None) if isinstance(problem, Softmax) else None
    return {"problem": made.code.name} if spec is None else {"data": str(spec), "dtype": problem.dtype}


def _pairs(given: Any, n: int) -> list[list[float]]:
    """Return bounds as pairs, as the options have them.

    Raises:
        InputError: they are no pairs of numbers.
    """
    checked = call("bounds", bounds_of, find("L-BFGS-B"), given, n)
    return np.stack([checked.lb, checked.ub], axis=1).tolist()  # type: ignore[no-any-return]  # a list of lists


def _result(result: Mapping[str, Any], url: str) -> MinimizeResult:
    """Return a result with theta, which is in the run folder.

    Raises:
        InputError: x.npy is damaged or missing.
    """
    theta = read_array(open_storage(url), "x.npy")
    if theta is None:
        raise InputError(f"x.npy of {url} is missing; delete result.json, and the same call makes it again")
    found = MinimizeResult(x=theta, success=result["success"], message=result["message"], fun=float(result["fun"]))
    found.update({name: result[name] for name in COUNTS if result.get(name) is not None})
    found.run, found.summary = url, dict(result)
    return found
