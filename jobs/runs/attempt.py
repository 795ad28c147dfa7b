"""An attempt, the same for every job: signals, data files, workers, the attempt's number, saving on errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import dask

from jobs.cluster.bits import Bits
from jobs.cluster.connect import connect, named_scheduler
from jobs.runs.arithmetic_file import ArithmeticFile
from jobs.runs.data_files import DataFiles
from jobs.runs.display.console import Log
from jobs.runs.display.log import ROLE, collected_logs
from jobs.runs.display.mode import mode, using
from jobs.runs.provenance import record as provenance
from jobs.runs.run import Run
from jobs.runs.stop import unsaved

if TYPE_CHECKING:
    from distributed import Client

    from jobs.options import JobOptions

DEGRADED_START_SECONDS = 30.0
"""Maximum wait of a resumed run for the workers that it asks for; then it has a degraded start, with those present."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
AnyLog = TypeVar("AnyLog", bound=Log)


class Attempt:
    """One attempt of a job, from the start of its driver until its result is written; created by `attempt_on`.

    The job calls `reads`, then `ended`, `show`, `check_data`, `connect`, `start` and `saving`, in this order.

    Attributes:
        folder: the run folder.
        stack: resources that are closed when the attempt ends, in reverse order.
        data: the files that the run reads.
        bits: what its processes compute with.
    """

    def __init__(self, folder: Run, stack: contextlib.ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.data = DataFiles(folder.storage, ())
        self.bits = Bits(folder.options.cpu)
        self._reporter: Log = Log(folder.job)

    def reads(self, files: Sequence[str]) -> None:
        """Name the run's data.

        Args:
            files: paths or s3:// URLs.

        Raises:
            InputError: a file is missing, or cannot be read.
        """
        self.data = DataFiles(self.folder.storage, files, self.folder.poll)

    def ended(self, is_its: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any] | None:
        """Return the result, with `already` set, of a run that has ended with these options; None if there is none.

        Args:
            is_its: returns whether a result is that of the requested run.

        Raises:
            InputError: its data have changed, or `is_its` rejects it as another run's.
        """
        if (result := self.folder.result()) is None or not is_its(result):
            return None
        self.data.check(lambda text: self._reporter.log("data", message=text))
        return result | {"already": True}

    def show(self, reporter: AnyLog) -> AnyLog:
        """Show the attempt's progress from now on, until it ends; return the reporter."""
        self._reporter = self.stack.enter_context(reporter)
        reporter.log("run folder", message=self.folder.url)
        return reporter

    def check_data(self) -> None:
        """Compare the data with their notes in the run folder.

        Raises:
            InputError: they have changed since the run began.
        """
        self.data.check(self._reporter.doing)

    def connect(self, *preload: str, gpus: int = 0, most: int | None = None) -> Client:
        """Return the client of the cluster that the options name, which is closed when the attempt ends.

        Args:
            preload: modules that its workers need; on this machine they are imported once, and inherited by all.
            gpus: of each worker on this machine.
            most: workers on this machine, where the options do not say how many.

        Raises:
            InputError, ClusterError: as `jobs.cluster.connect.connect`.
        """
        options = self.folder.options
        elsewhere = named_scheduler(options.scheduler)
        self._reporter.doing("connecting to the workers" if elsewhere else "starting workers on this machine")
        return self.stack.enter_context(
            connect(
                options.scheduler,
                workers=options.workers,
                most=most,
                threads=options.threads,
                gpus=gpus,
                preload=preload,
                connect_timeout=options.connect_timeout,
                workers_timeout=options.workers_timeout,
                # The cluster may be smaller than when the run began, and one worker is enough to resume.
                degraded_start_after=DEGRADED_START_SECONDS if self.folder.storage.list("attempts/") else None,
                cpu=options.cpu,
                poll=self.folder.poll,
            )
        )

    def start(self, *roots: Any, identity: Mapping[str, Any] = NOTHING, **fields: Any) -> None:
        """Claim the attempt's number and begin to digest the data; from now on an error is written to the run folder.

        Args:
            roots: of the user's code, as of `jobs.sources.sources`, for the provenance.
            identity: of the run, as far as it is known, for the provenance.
            fields: of the log line, beside the attempt's number and the run folder.

        Raises:
            InputError: another driver runs on the folder.
        """
        self.folder.start()
        self._reporter.record("attempt", attempt=self.folder.attempt, run=self.folder.url, **fields)
        arithmetic = ArithmeticFile(self.folder.storage, self.bits, self.folder.attempt)
        arithmetic.write()
        self.folder.on_status = arithmetic.write  # for workers that join later
        provenance.write(self.folder.storage, self.folder.attempt, self.folder.options, identity, roots)
        self.stack.enter_context(self.data)  # after the number: only a driver that has one may write the notes

    @contextlib.contextmanager
    def saving(self, save: Callable[[], None]) -> Iterator[None]:
        """Enclose the attempt's work: its data must be the same at the end, and on any error the state is saved.

        Args:
            save: writes the state into the run folder.

        Raises:
            InputError: the data have changed meanwhile.
        """
        try:
            yield
            self.data.check_again()
        except BaseException as error:
            # BaseException: signals end a run by Stopped, and user code may raise SystemExit. The first error is
            # raised, not that saving failed too: both may have the same cause, the storage.
            try:
                if not self.folder.superseded:
                    save()
            except Exception as reason:  # noqa: BLE001  whatever it is, the run ends by the first
                if (ended := unsaved(error, reason)) is not error:
                    raise ended from error
            raise


@contextlib.contextmanager
def attempt_on(job: str, options: JobOptions) -> Iterator[Attempt]:
    """Yield an attempt of a job on the run folder of its options; SIGTERM and SIGINT stop it, see `Run.signals`.

    Args:
        job: the job's name.
        options: all its options; `run` is set.

    Raises:
        InputError: no write access, or the folder is another job's.
        JobError: what the attempt raised; if it had a number, the error is in the run folder too.
    """
    folder = Run(str(options.run), job, options)
    # Around all: a signal must not cut off the last status either.
    with using(options.progress), folder.signals(), folder.observed():
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(_collected_logs())
                yield Attempt(folder, stack)
        except BaseException as error:
            ended = folder.explained(error)
            # After the stack, so that no display or client is left when the status is written.
            if folder.attempt:  # without one it may be a live driver's folder
                folder.fail(ended)
            if ended is error:
                raise
            raise ended from error


@contextlib.contextmanager
def _collected_logs() -> Iterator[None]:
    """Bring the records of all libraries into the JSON lines, if there are any, here and in workers on this machine.

    Not before: Dask, which is imported by now, adds a handler of its own.
    """
    if mode() != "json":
        yield
        return
    with (
        collected_logs(os.environ.get(ROLE, "driver")),
        dask.config.set({"distributed.worker.preload": ["jobs.runs.display.worker_log"]}),
    ):
        yield
