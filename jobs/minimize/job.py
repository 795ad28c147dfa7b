"""The minimize job: options -> objective -> SciPy -> result, resumable from its run folder."""

from __future__ import annotations

import contextlib
import io
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from jobs.cluster.connect import connect
from jobs.datasets.changes import DataFiles
from jobs.errors import InputError
from jobs.minimize import journal as journals
from jobs.minimize import softmax
from jobs.minimize.journal import Journal
from jobs.minimize.monitor import Observer
from jobs.minimize.objective import Objective
from jobs.minimize.optimize import methods
from jobs.minimize.optimize.minimize import Minimization
from jobs.minimize.options import Options
from jobs.minimize.outcome import finish
from jobs.minimize.problems.base import CheckedProblem, files, make
from jobs.runs.console import Reporter
from jobs.runs.log import log
from jobs.runs.run import Run
from jobs.sources import digest
from jobs.usercode import line, only_exceptions

if TYPE_CHECKING:
    from distributed import Client

DEGRADED_START_SECONDS = 30.0
"""How long a run that goes on waits for as many workers as it began with; then those that are there are enough."""
SUMS = tuple(f"jobs.minimize.evaluate.{name}" for name in ("distributed", "evaluator", "futures"))
Vector = NDArray[np.float64]
WARM = "warm.npy"
LIMITS = ("maxiter", "maxfun", "maxfev")
"""Options that may grow between attempts: they end a run, but do not change its way."""


def run(options: Options) -> dict[str, Any]:
    """Run the job on its run folder until it ends, and return what is in result.json.

    A run that has already ended with these options is not repeated: its result is returned with `already` set. The
    problem and its data must then be those that it was computed from.

    Raises:
        JobError: how it ended otherwise; the run folder says so too.
    """
    methods.check_options(methods.find(options.method), options.options)
    folder = Run(str(options.run), "minimize", options)
    with folder.signals():
        try:
            problem = problem_of(options)
            data = DataFiles(folder.storage, files(problem.problem), folder.poll)
            return _ended(options, folder, problem, data) or _attempt(options, folder, problem, data)
        except BaseException as error:
            if folder.attempt:
                folder.fail(error)
            raise


def _ended(options: Options, folder: Run, problem: CheckedProblem, data: DataFiles) -> dict[str, Any] | None:
    """Return the result of a run that has ended with these options, after a look whether it is this run's.

    Raises:
        InputError: its data, or its problem, were others.
    """
    if (result := folder.result()) is None:
        return None
    data.check(lambda text: log("minimize", "data", message=text))
    with Objective(None, problem, l2=options.l2, on_nan=options.on_nan) as objective:
        x0 = _minimization(options, objective, _start(options, folder)).x0
        _check_kept(folder, _identity(options, objective, x0))
    return result | {"already": True}


def _check_kept(folder: Run, identity: Mapping[str, str]) -> None:
    """Check that the result in the folder, if any, is of the run of this identity: starting anew would delete it.

    Raises:
        InputError: it is another run's.
    """
    if result := folder.kept_result():
        before = result.get("identity")
        if not isinstance(before, dict):
            raise InputError(f"the result in {folder.url} does not say of what it is; choose another --run")
        if folder.storage.exists(WARM):  # a start that this run made itself
            before["start"] = identity["start"]
        journals.check_identity(f"the result in {folder.url}", before, identity)


def problem_of(options: Options) -> CheckedProblem:
    """Return the problem that the options name, made here.

    Raises:
        JobError: it cannot be made.
    """
    return make(options.problem or softmax.problem(options.data or "digits", options.classes, options.dtype))


def _attempt(options: Options, folder: Run, problem: CheckedProblem, data: DataFiles) -> dict[str, Any]:
    """Do one attempt: check everything, claim the folder, replay, go on, and write what came out."""
    with contextlib.ExitStack() as stack:
        reporter = stack.enter_context(Reporter("minimize", options.max_iterations))
        reporter.log("run", message=f"run folder {folder.url}")
        data.check(reporter.doing)
        reporter.doing("connecting to the workers" if options.workers != 0 else "working in this process")
        client = stack.enter_context(_cluster(options, folder))
        objective = stack.enter_context(_objective(options, folder, client, problem))
        _warm_start(folder, reporter)
        minimization = _minimization(options, objective, _start(options, folder))
        identity = _identity(options, objective, minimization.x0)
        journals.check(folder.storage, identity)
        _check_kept(folder, identity)
        folder.start()
        reporter.record("attempt", attempt=folder.attempt, run=folder.url, workers=objective.sum.workers)
        stack.enter_context(data)
        journal = Journal(folder.storage, folder.attempt, identity, int(options.journal_limit * 2**30))
        objective.journal = stack.enter_context(contextlib.closing(journal))
        observer = Observer(folder, reporter, journal, minimization.l1, options.max_iterations)
        objective.on_evaluation = observer.on_evaluation
        reporter.doing("loading the data, first evaluation")
        try:
            result = _solve(minimization, observer, options.method)
            data.check_again()
        except BaseException:
            with contextlib.suppress(Exception):  # what failed first is what is told
                if not folder.superseded:
                    observer.save(best=True)
            raise
        return finish(folder, objective, observer, result, {"identity": identity, **data.as_result()})


def _solve(minimization: Minimization, observer: Observer, method: str) -> OptimizeResult:
    """Run SciPy; what it refuses itself (a user's code raises other errors) are bad options.

    Raises:
        InputError: SciPy does not take an option's value.
    """
    try:
        return only_exceptions(minimization.solve, observer.on_iteration)
    except (TypeError, ValueError) as error:
        if _in_evaluation(error):
            raise
        text = " ".join(str(error).split())
        raise InputError(
            f"--method {method}: SciPy does not take these options: {text}", traceback.format_exc()
        ) from error


def _in_evaluation(error: Exception) -> bool:
    """Return whether an error comes from a sum over the data, below SciPy, and is not about its options."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") in SUMS for frame, _ in frames)


@contextlib.contextmanager
def _cluster(options: Options, folder: Run) -> Iterator[Client | None]:
    if options.workers == 0:
        yield None
        return
    with connect(
        options.scheduler,
        workers=options.workers,
        threads=options.threads,
        connect_timeout=options.connect_timeout,
        workers_timeout=options.workers_timeout,
        degraded_start_after=DEGRADED_START_SECONDS if folder.storage.list("attempts/") else None,
    ) as client:
        yield client


def _objective(options: Options, folder: Run, client: Client | None, problem: CheckedProblem) -> Objective:
    limits = {"timeout": options.evaluation_timeout, "workers_timeout": options.workers_timeout} if client else {}
    how: dict[str, Any] = {"evaluator": options.evaluator, "poll": folder.poll, **limits}
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
    """Make the best point of a run that outgrew its journal its new start.

    A full journal cannot be replayed to its end, so it is deleted once its best point is kept.
    """
    if folder.storage.exists(journals.FULL) and (best := folder.load_array("x.npy")) is not None:
        folder.save_array(WARM, best)
        journals.delete(folder.storage)
    if folder.storage.exists(WARM):
        reporter.log(
            "warm start", message="the journal outgrew --journal-limit: going on from the best point, not exactly"
        )


def _start(options: Options, folder: Run) -> Vector | None:
    """Return where to start: the best point of a run that outgrew its journal, --x0, or None for the problem's own."""
    if (warm := folder.load_array(WARM)) is not None or options.x0 is None:
        return warm
    try:
        array: Vector = np.load(io.BytesIO(Path(options.x0).read_bytes()), allow_pickle=False)
    except Exception as error:
        raise InputError(f"--x0 {options.x0}: cannot be read as .npy ({line(error)})") from error
    return array


def _identity(options: Options, objective: Objective, x0: Vector) -> dict[str, str]:
    """Return what makes this run this run, as people would name it when it differs."""
    chosen = {key: value for key, value in options.options.items() if key not in LIMITS}
    return {
        **objective.identity,
        "start": digest(x0.tobytes()),
        "method": methods.find(options.method).name,
        "options": repr(sorted(chosen.items())),
        **{name: repr(getattr(options, name)) for name in ("tol", "l1", "l2", "bounds", "on_nan")},
    }
