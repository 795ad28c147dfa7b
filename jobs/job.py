"""The interface of a job to the rest of the program: one `Job` per job, found by `jobs.registry`."""

from __future__ import annotations

import contextlib
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from jobs.errors import InputError, Stopped
from jobs.formatting import error_line

if TYPE_CHECKING:  # importing them would slow every command down
    from jobs.datasets.prediction import Predictor
    from jobs.options import JobOptions
    from jobs.report.content import Curve, JobReport
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

COMMANDS = frozenset(
    {
        "check",
        "list",
        "compare",
        "show",
        "report",
        "predict",
        "rerun",
        "plan",
        "status",
        "wait",
        "logs",
        "cancel",
        "fetch",
    }
)
"""The program's own commands, whose names no job may have."""
T = TypeVar("T")


class Estimate(Protocol):
    """Estimates a job's use of a release's workers, before it is installed."""

    def __call__(self, options: Any, workers: int, threads: int, gpus: float) -> Iterable[tuple[str, str]]:
        """Return (name, text) of each line.

        Args:
            options: the job's.
            workers: their maximum number.
            threads: compute threads per worker.
            gpus: GPUs per worker.
        """


@dataclass(frozen=True)
class Logged:
    """Other files of the run folder that can be restored from a result, which the driver logs as one line.

    Attributes:
        files: name -> content of those that can be restored, with the same bits.
        missing: name -> reason, of those that usually can, but not in this run.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job: its name, its texts, and the locations of its parts.

    A part is named `module:attribute` and imported when it is used, so that the command line lists all jobs without
    importing any.

    Attributes:
        name: of its command, its chart and its runs; that of its entry point, and none of `COMMANDS`.
        summary: its line of `dask-jobs --help`.
        steps: the noun of its progress, in the plural; its event `done` has their number under this name.
        options: part: its options, a subclass of `JobOptions`.
        run: part: `run(options)` runs it on its run folder and returns what is in result.json.
        show: part: `show(result, run)` prints a result.
        content: part: `content(run, storage)` returns its own part of the report, a `Content`.
        estimate: part: its lines of `dask-jobs plan`, an `Estimate` (empty: none).
        predict: part: `predict(run, storage)` returns what predicts rows by the model of a run that has ended, a
            `jobs.datasets.prediction.Predictor` (empty: it has no such model).
        predict_files: part: `predict_files(run, storage, files)` prints what the run's model says of a user's files
            (empty: it takes none).
        check: part: `check(arguments)` tries what its options name before a run, or raises InputError (empty: none).
        logged: part: `logged(result)` returns the files that the result can restore, a `Logged`, or raises ValueError
            if it is not a result of this job (empty: none).
        results: the numbers of result.json that `list` and `compare` show, the most important one first: `loss=fun`, or
            `best=best.value` of what lies deeper; `*=history.*.-1` are the last of all lists there.
        exact: what has the bits of a result: files of the run folder, or entries of result.json as `result.json:best`.
        curve: part: `curve(storage)` returns how a run went, for `compare`, a `Curve` (empty: none).
        files: its files in the run folder, beside those of every job; a name that ends with `/` is a folder.
        resume_only: those of them that are needed only to resume it; `dask-jobs fetch` skips them by default.
        beside_result: the content of a run folder beside the result, for messages.
        package: the package that it is of, for messages; filled in by the registry.

    Raises:
        TypeError: a text is none, or a tuple of texts.
    """

    name: str
    summary: str
    steps: str
    options: str
    run: str
    show: str
    content: str
    estimate: str = ""
    predict: str = ""
    predict_files: str = ""
    check: str = ""
    logged: str = ""
    results: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    curve: str = ""
    files: tuple[str, ...] = ()
    resume_only: tuple[str, ...] = ()
    beside_result: str = ""
    package: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            texts = value if isinstance(value, tuple) and isinstance(one.default, tuple) else [value]
            if not all(isinstance(text, str) for text in texts):
                raise TypeError(f"{one.name} is {value!r}, but must be text")

    def load_options(self) -> type[JobOptions]:
        """Return its options' class.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        options = self._part("options")
        from jobs.options import JobOptions

        if not (isinstance(options, type) and issubclass(options, JobOptions)):
            raise InputError(f"{self._where('options')}: it must be a subclass of jobs.options.JobOptions")
        return options

    def load_run(self) -> Callable[[Any], dict[str, Any]]:
        """Return the function that runs it.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("run")

    def load_show(self) -> Callable[[Mapping[str, Any], str], None]:
        """Return the function that prints a result, and last of all whether its bits are mixed.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        show = self._function("show")
        from jobs.cluster.bits import warning

        def with_warning(result: Mapping[str, Any], run: str) -> None:
            show(result, run)
            if text := warning(result):
                sys.stdout.write(f"warning: {text}\n")

        return with_warning

    def load_report(self) -> JobReport:
        """Return the report of its runs.

        Raises:
            InputError: it cannot be loaded.
        """
        from jobs.report.content import JobReport

        return JobReport(self.load_options(), self.steps, self._function("content"))

    def load_estimate(self) -> Estimate:
        """Return its estimate for a release's workers.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("estimate") if self.estimate else _no_estimate

    def load_predict(self) -> Callable[[RunFolder, Storage], Predictor]:
        """Return the function that returns what predicts rows by a run's model.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("predict")

    def load_predict_files(self) -> Callable[[RunFolder, Storage, Sequence[str]], None]:
        """Return the function that prints what a run's model says of files.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("predict_files")

    def load_check(self) -> Callable[[Sequence[str]], None]:
        """Return the function that tries what its options name.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("check")

    def load_curve(self) -> Callable[[Storage], Curve | None]:
        """Return the function that returns how a run went.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("curve") if self.curve else _no_curve

    def load_logged(self) -> Callable[[Mapping[str, Any]], Logged]:
        """Return the function that restores other files from a result.

        Raises:
            InputError: it cannot be loaded, or is none.
        """
        return self._function("logged") if self.logged else _nothing_logged

    def _function(self, part: str) -> Callable[..., Any]:
        function = self._part(part)
        if not callable(function):
            raise InputError(f"{self._where(part)}: it is of type {type(function).__name__}, but must be a function")
        return function  # type: ignore[no-any-return]

    def _part(self, part: str) -> Any:
        return loaded(self._where(part), lambda: pkgutil.resolve_name(getattr(self, part)))

    def _where(self, part: str) -> str:
        return f"job {self.name!r} of {self.package or 'this program'}: {part}={getattr(self, part)!r} cannot be loaded"


class _Interrupt(KeyboardInterrupt):
    """Ctrl-C while a package's code is loaded."""


def loaded(what: str, load: Callable[[], T]) -> T:
    """Return what a function loads of a job's package; all that its modules raise is an error of that job.

    Args:
        what: which cannot be loaded, for the error.
        load: loads it.

    Raises:
        InputError: it raised any exception; Ctrl-C and Stopped are none of it.
    """
    try:
        with _interrupts():
            return load()
    except (_Interrupt, Stopped):
        raise
    except BaseException as error:
        raise InputError(f"{what}: {error_line(error)}") from error


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Raise a class of its own for Ctrl-C: a KeyboardInterrupt that a module raises is no interrupt."""

    def interrupt(*_: object) -> NoReturn:
        raise _Interrupt

    ours = threading.current_thread() is threading.main_thread()
    if not (ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:  # a module may have set another one
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _no_estimate(options: Any, workers: int, threads: int, gpus: float) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    return ()


def _no_curve(storage: Storage) -> None:  # noqa: ARG001
    return None


def _nothing_logged(result: Mapping[str, Any]) -> Logged:  # noqa: ARG001  the result alone is logged
    return Logged()
