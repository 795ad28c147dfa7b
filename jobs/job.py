"""The interface of a job to the rest of the program: one `Job` per job, found by `jobs.registry`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # importing them would slow every command down
    from jobs.options import JobOptions
    from jobs.report.content import JobReport


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
        name: of its command, its chart and its runs; that of its entry point.
        summary: its line of `dask-jobs --help`.
        steps: the noun of its progress, in the plural; its event `done` has their number under this name.
        options: part: its options, a subclass of `JobOptions`.
        run: part: `run(options)` runs it on its run folder and returns what is in result.json.
        show: part: `show(result, run)` prints a result.
        content: part: `content(run, storage)` returns its own part of the report, a `Content`.
        estimate: part: its lines of `dask-jobs plan`, an `Estimate` (empty: none).
        logged: part: `logged(result)` returns the files that the result can restore, a `Logged`, or raises ValueError
            if it is not a result of this job (empty: none).
        files: its files in the run folder, beside those of every job; a name that ends with `/` is a folder.
        resume_only: those of them that are needed only to resume it; `dask-jobs fetch` skips them by default.
        beside_result: the content of a run folder beside the result, for messages.
    """

    name: str
    summary: str
    steps: str
    options: str
    run: str
    show: str
    content: str
    estimate: str = ""
    logged: str = ""
    files: tuple[str, ...] = ()
    resume_only: tuple[str, ...] = ()
    beside_result: str = ""

    def load_options(self) -> type[JobOptions]:
        """Return its options' class."""
        options: type[JobOptions] = pkgutil.resolve_name(self.options)
        return options

    def load_run(self) -> Callable[[Any], dict[str, Any]]:
        """Return the function that runs it."""
        run: Callable[[Any], dict[str, Any]] = pkgutil.resolve_name(self.run)
        return run

    def load_show(self) -> Callable[[Mapping[str, Any], str], None]:
        """Return the function that prints a result."""
        show: Callable[[Mapping[str, Any], str], None] = pkgutil.resolve_name(self.show)
        return show

    def load_report(self) -> JobReport:
        """Return the report of its runs."""
        from jobs.report.content import JobReport

        return JobReport(self.load_options(), self.steps, pkgutil.resolve_name(self.content))

    def load_estimate(self) -> Estimate:
        """Return its estimate for a release's workers."""
        estimate: Estimate = pkgutil.resolve_name(self.estimate) if self.estimate else _no_estimate
        return estimate

    def load_logged(self) -> Callable[[Mapping[str, Any]], Logged]:
        """Return the function that restores other files from a result."""
        logged: Callable[[Mapping[str, Any]], Logged] = (
            pkgutil.resolve_name(self.logged) if self.logged else _nothing_logged
        )
        return logged


def _no_estimate(options: Any, workers: int, threads: int, gpus: float) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    return ()


def _nothing_logged(result: Mapping[str, Any]) -> Logged:  # noqa: ARG001  the result alone is logged
    return Logged()
