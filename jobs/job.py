"""What the program knows of a job outside the job's own folder: one `Job` for each, found by `jobs.registry`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a job is listed without them
    from jobs.options import JobOptions
    from jobs.report.content import JobReport


class Estimate(Protocol):
    """What a job does with a release's workers, as far as it is known before it is installed."""

    def __call__(self, options: Any, workers: int, threads: int, gpus: float) -> Iterable[tuple[str, str]]:
        """Return (name, text) of each line.

        Args:
            options: the job's.
            workers: how many there are at most.
            threads: compute threads of each.
            gpus: GPUs of each.
        """


@dataclass(frozen=True)
class Logged:
    """What a result, which the driver logs as one line, holds of the run folder's other files.

    Attributes:
        files: name -> content of those that can be made of it again, bit by bit.
        missing: name -> why, of those that usually can, but not in this run.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job: its name, its words, and where its parts are.

    A part is named `module:attribute` and imported when it is used, so that the command line lists all jobs without
    importing any.

    Attributes:
        name: of its command, its chart and its runs; that of its entry point.
        summary: what it is for, a line of `dask-jobs --help`.
        steps: what its progress counts, in the plural; its event `done` has the number of them under this name.
        options: part: its options, a subclass of `JobOptions`.
        run: part: `run(options)` runs it on its run folder and returns what is in result.json.
        show: part: `show(result, run)` prints a result as people read it.
        content: part: `content(run, storage)` returns what its report has beside what all have, a `Content`.
        estimate: part: what `dask-jobs plan` says of it, an `Estimate` (empty: nothing).
        logged: part: `logged(result)` returns what the result holds of other files, a `Logged`, or raises ValueError
            if it is no result of this job (empty: none).
        files: what it writes to its run folder beside what all jobs do; a name that ends with `/` is a folder.
        resume_only: those of them that only serve to go on; `dask-jobs fetch` leaves them out unless asked for.
        beside_result: in words, what a run folder has beside the result.
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
        """Return what runs it."""
        run: Callable[[Any], dict[str, Any]] = pkgutil.resolve_name(self.run)
        return run

    def load_show(self) -> Callable[[Mapping[str, Any], str], None]:
        """Return what prints a result."""
        show: Callable[[Mapping[str, Any], str], None] = pkgutil.resolve_name(self.show)
        return show

    def load_report(self) -> JobReport:
        """Return how its runs are reported."""
        from jobs.report.content import JobReport

        return JobReport(self.load_options(), self.steps, pkgutil.resolve_name(self.content))

    def load_estimate(self) -> Estimate:
        """Return what says what it does with a release's workers."""
        estimate: Estimate = pkgutil.resolve_name(self.estimate) if self.estimate else _no_estimate
        return estimate

    def load_logged(self) -> Callable[[Mapping[str, Any]], Logged]:
        """Return what reads other files' content from a result."""
        logged: Callable[[Mapping[str, Any]], Logged] = (
            pkgutil.resolve_name(self.logged) if self.logged else _nothing_logged
        )
        return logged


def _no_estimate(options: Any, workers: int, threads: int, gpus: float) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    return ()


def _nothing_logged(result: Mapping[str, Any]) -> Logged:  # noqa: ARG001  the result alone is logged
    return Logged()
