"""The minimize job: options -> objective -> SciPy -> result, resumable from its run folder."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from jobs.arithmetic import arithmetic
from jobs.datasets import open_dataset
from jobs.datasets.tables.kept import keep_columns
from jobs.errors import InputError, argument
from jobs.formatting import error_line, one_line
from jobs.minimize import journal as journals
from jobs.minimize import models
from jobs.minimize.display.monitor import Observer, Optimizer
from jobs.minimize.journal import Journal
from jobs.minimize.objective import Objective, is_of_evaluation
from jobs.minimize.optimize import methods
from jobs.minimize.optimize.minimize import Minimization
from jobs.minimize.options import Options
from jobs.minimize.outcome import finish
from jobs.minimize.problems.base import CheckedProblem, attribute_of, files, load_problem
from jobs.minimize.problems.identity import roots_of
from jobs.minimize.standard_errors import standard_errors
from jobs.npy import read_array
from jobs.runs.attempt import Attempt, attempt_on
from jobs.runs.display.console import Reporter
from jobs.runs.run import Run
from jobs.sources import digest
from jobs.table_options import columns_of
from jobs.usercode import call, only_exceptions

if TYPE_CHECKING:
    from distributed import Client

Vector = NDArray[np.float64]
WARM = "warm.npy"
LIMITS = ("maxiter", "maxfun", "maxfev")
"""Options that may grow between attempts: they end a run, but do not change its iterations."""


@dataclass(frozen=True)
class Given:
    """What a caller in Python gives beside options.

    Attributes:
        problem: loaded, in the place of `options.problem`, which is then its name; None for the options' own.
        x0: the start, (n,); None for that of the options or the problem.
        client: of the cluster; None for that of the options.
        callback: called with theta after each iteration.
    """

    problem: CheckedProblem | None = None
    x0: Vector | None = None
    client: Client | None = None
    callback: Callable[[Vector], Any] | None = None


def run(options: Options, given: Given | None = None) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return the content of result.json.

    A run that has already ended with these options is not repeated: its result is returned with `already` set. The
    problem and its data must then be the result's.

    Args:
        options: all options.
        given: what they cannot say.

    Raises:
        JobError: the run failed or was stopped; the error is in the run folder too.
    """
    methods.check_options(methods.find(options.method), options.options)
    given = given or Given()
    with attempt_on("minimize", options) as attempt:
        problem = given.problem or problem_of(options)
        attempt.reads(files(problem.problem))
        ended = attempt.ended(lambda _: _is_its(options, attempt.folder, problem, given))
        return ended or _attempt(options, attempt, problem, given)


def _is_its(options: Options, folder: Run, problem: CheckedProblem, given: Given) -> bool:
    """Return True if the result in the folder is that of the requested run.

    Raises:
        InputError: it is another run's.
    """
    with Objective(None, problem, l2=options.l2, on_nan=options.on_nan) as objective:
        x0 = _minimization(options, objective, _start(options, folder, given)).x0
        _check_kept(folder, _identity(options, objective, x0))
    return True


def _check_kept(folder: Run, identity: Mapping[str, str]) -> None:
    """Check that the result in the folder, if any, has this identity: starting again would delete it.

    Raises:
        InputError: it is another run's.
    """
    if result := folder.kept_result():
        before = result.get("identity")
        if not isinstance(before, dict):
            raise InputError(f"the result in {folder.url} does not say of what it is; choose another {argument('run')}")
        if folder.storage.exists(WARM):  # a warm start of this very run
            before["start"] = identity["start"]
        journals.check_identity(f"the result in {folder.url}", before, identity)


def problem_of(options: Options) -> CheckedProblem:
    """Return the problem that the options name, loaded and checked in this process.

    Raises:
        JobError: it cannot be loaded.
    """
    if options.problem:
        return load_problem(options.problem)
    how = options.dtype, (options.validation, options.validation_seed)
    data, classes, columns = options.data or "digits", options.classes, columns_of(options)
    if columns:
        targets = options.model in models.OF_TARGETS
        return load_problem(
            models.problem(options.model, open_dataset(data, classes, targets=targets, **columns), None, *how)
        )
    return load_problem(models.problem(options.model, data, classes, *how))


def _attempt(options: Options, attempt: Attempt, problem: CheckedProblem, given: Given) -> dict[str, Any]:
    """Run one attempt: check everything, claim the folder, replay, continue, and write the result."""
    folder = attempt.folder
    reporter = attempt.show(Reporter("minimize", options.max_iterations, "iterations", at_most=True))
    attempt.check_data()
    client = given.client or _connected(options, attempt, reporter)
    attempt.bits.add("the driver", arithmetic())
    objective = attempt.stack.enter_context(_objective(options, attempt, client, problem))
    _warm_start(folder, reporter)
    minimization = _minimization(options, objective, _start(options, folder, given))
    identity = _identity(options, objective, minimization.x0)
    begun = journals.check(folder.storage, identity)
    _check_kept(folder, identity)
    if options.check and not begun:  # a journal is replayed without the data
        _check_problem(objective, minimization.x0, reporter)
    attempt.start(*roots_of(problem.code, problem.problem), identity=identity, workers=objective.sum.workers)
    keep_columns(folder.storage, attribute_of(problem.problem, "data", None))
    limit, elsewhere = int(options.journal_limit * 2**30), attempt.bits.is_mixed
    journal = Journal(folder.storage, folder.attempt, identity, limit, elsewhere=elsewhere)
    objective.journal = attempt.stack.enter_context(contextlib.closing(journal))
    method = methods.find(options.method)
    tolerance = method.gradient_tolerance(options.options, options.tol)
    shown = Optimizer(options.max_iterations, method.gradient != "unused", tolerance, lambda: objective.sum.workers)
    observer = Observer(folder, reporter, journal, minimization.l1, shown)
    objective.on_evaluation = observer.on_evaluation
    reporter.doing("loading the data, first evaluation")
    with attempt.saving(functools.partial(observer.save, best=True)):
        result = _solve(minimization, observer, options.method, given.callback)
    origin = {"identity": identity, **attempt.bits.as_result(), **attempt.data.as_result()}
    origin |= standard_errors(objective, np.asarray(result.x), result.fun, restricted=_restricted(options))
    return finish(folder, objective, observer, result, origin)


def _connected(options: Options, attempt: Attempt, reporter: Reporter) -> Client | None:
    if options.workers == 0:
        reporter.doing("working in this process")
        return None
    return attempt.connect("jobs.minimize.job")


def _restricted(options: Options) -> str:
    """Return what restricts the optimum beside the data."""
    found = {"l1": options.l1, "l2": options.l2, "bounds": options.bounds is not None}
    return next((argument(name) for name, given in found.items() if given), "")


def _check_problem(objective: Objective, start: Vector, reporter: Reporter) -> None:
    """Try the problem on a few rows before any work begins.

    Raises:
        InputError: it breaks its contract.
    """
    reporter.doing("checking the problem on its first rows")
    for finding in objective.check(start):
        if finding.verdict == "wrong":
            rest = "`dask-jobs check` tries it by itself; --no-check, in Python check=False, goes on without"
            raise InputError(f"{finding.text}; {rest}")
        if finding.verdict == "doubtful":
            reporter.log("check", message=finding.text)


def _solve(
    minimization: Minimization, observer: Observer, method: str, callback: Callable[[Vector], Any] | None
) -> OptimizeResult:
    """Run SciPy; a TypeError or ValueError of its own, not of an evaluation, means bad options.

    Raises:
        InputError: SciPy does not take an option's value.
    """

    def on_iteration(theta: Vector, *_: object) -> None:
        observer.on_iteration()
        if callback:
            call("callback", callback, theta.copy())

    try:
        return only_exceptions(minimization.solve, on_iteration)
    except (TypeError, ValueError) as error:
        if is_of_evaluation(error):
            raise
        text = one_line(error)
        raise InputError(
            f"{argument('method')} {method}: SciPy does not take these options: {text}", traceback.format_exc()
        ) from error


def _objective(options: Options, attempt: Attempt, client: Client | None, problem: CheckedProblem) -> Objective:
    limits = {"timeout": options.evaluation_timeout, "workers_timeout": options.workers_timeout, "bits": attempt.bits}
    how: dict[str, Any] = {"evaluator": options.evaluator, "poll": attempt.folder.poll, **(limits if client else {})}
    return Objective(client, problem, l2=options.l2, on_nan=options.on_nan, **how)


def _minimization(options: Options, objective: Objective, start: Vector | None) -> Minimization:
    limit = {methods.find(options.method).iterations: options.max_iterations}
    return Minimization(
        objective,
        start,
        method=options.method,
        bounds=options.bounds,
        tol=options.tol,
        options=limit | options.options,
        l1=options.l1,
    )


def _warm_start(folder: Run, reporter: Reporter) -> None:
    """Make the best point of a run that outgrew its journal its new starting point.

    A full journal cannot be replayed to its end, so it is deleted once its best point is saved.
    """
    if folder.storage.exists(journals.FULL) and (best := folder.load_array("x.npy")) is not None:
        folder.save_array(WARM, best)  # before the journal is deleted: after a crash between the two this is repeated
        journals.delete(folder.storage)
    if folder.storage.exists(WARM):
        reporter.log(
            "warm start", message="the journal outgrew --journal-limit: going on from the best point, not exactly"
        )


def _start(options: Options, folder: Run, given: Given) -> Vector | None:
    """Return the starting point: a warm start's, the given one, or None for the problem's own."""
    if (warm := folder.load_array(WARM)) is not None or options.x0 is None:
        return given.x0 if warm is None else warm
    try:
        return read_array(Path(options.x0).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{argument('x0')} {options.x0}: cannot be read as .npy ({error_line(error)})") from error


def _identity(options: Options, objective: Objective, x0: Vector) -> dict[str, str]:
    """Return the run's identity, name -> value, by the names in error messages."""
    chosen = {key: value for key, value in options.options.items() if key not in LIMITS}
    return {
        **objective.identity,
        "start": digest(x0.tobytes()),
        "method": methods.find(options.method).name,
        "options": repr(sorted(chosen.items())),
        **{name: repr(getattr(options, name)) for name in ("tol", "l1", "l2", "bounds", "on_nan")},
        **{name: repr(value) for name, value in columns_of(options).items()},
    }
