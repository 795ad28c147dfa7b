"""The end of `dask-jobs wait`: the result of an ended release is copied here and shown, with the next command."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobs.errors import InputError, JobError, Stopped
from jobs.release.actions.cancel import MORE_SECONDS, end_workers, grace, until
from jobs.release.actions.destination import beside, is_run_folder, put_result
from jobs.release.actions.fetch import received
from jobs.release.actions.outcome import Outcome, outcome_in, outcome_of, printed, rebuild, summary
from jobs.release.actions.wait_view import WaitView
from jobs.release.api.client import Cluster
from jobs.release.api.objects import Objects, Run, live, started, terminated
from jobs.release.status.show import next_command, remove_command
from jobs.release.status.state import Release, release_state

SCRATCH = "the run folder was scratch space, and is lost with the driver's pod"
KEEPING = "run.claim or run.s3 in the values keeps it"


@dataclass(frozen=True)
class Where:
    """The location of a result: `place` is a local folder or a URL, None if it is not here; `lines` are shown."""

    place: str | None
    lines: tuple[str, ...]


class HandOver:
    """Hands over the result of a release whose driver's Job has ended.

    Args:
        cluster: the release's.
        objects: its objects; `run`, the next argument, is its run.
        view: the view that has shown its log.
        fetch: copy the result to this machine.
    """

    def __init__(self, cluster: Cluster, objects: Objects, run: Run, view: WaitView, *, fetch: bool) -> None:
        self._cluster, self._objects, self._run = cluster, objects, run
        self._view, self._fetch = view, fetch
        self._release: Release = release_state(objects, run)
        self._done = self._release.exit_code == 0
        self._outcome: Outcome | None = outcome_of(view.result) if self._done else None
        self._target = f"{self._release.name} -n {self._release.namespace}"
        self._place = Path(f"{self._release.name}-result")
        self._workers_ended = False

    def run(self) -> None:
        """Copy and show the result; an error on the way is one line."""
        self._view.stop()
        if not self._done:
            self._view.end(success=False)
        where = self._where()
        if self._done:
            self._show(where)
        for line in where.lines:
            self._view.notify(f"dask-jobs: {line}")
        if not self._done:
            self._view.notify(f"next: {next_command(self._release)}")
        self._end_workers()

    def _show(self, where: Where) -> None:
        here = where.place is not None and "://" not in where.place
        outcome = self._outcome or (outcome_in(Path(str(where.place))) if here else None)
        text = summary(outcome, where.place) if outcome else None
        self._view.end(success=True, shown=None if outcome is None or text is None else partial(printed, outcome))
        sys.stdout.write(text or "")
        sys.stdout.flush()

    def _where(self) -> Where:
        if self._release.run_url.startswith("s3://"):
            return Where(self._release.run_url, (f"the run folder is {self._release.run_url}", *self._removal()))
        return self._from_log() if self._release.scratch else self._from_claim()

    def _removal(self, when: str = "") -> tuple[str, ...]:
        """Return the line on how to remove the release, for one that has ended well: its result is safe."""
        return (f"to remove the release{when}: {remove_command(self._release)}",) if self._done else ()

    def _from_log(self) -> Where:
        if self._outcome is None:
            return Where(None, self._nothing())
        lost = f"{self._lost()}; {KEEPING}"
        once = self._removal(", once you have it")
        if not self._fetch:
            get = f"to get the result, while the driver's pod has its log: dask-jobs wait {self._target}"
            return Where(None, (get, *once, lost))
        try:
            with beside(self._place) as part:
                names = rebuild(self._outcome, part)
                folder = put_result(part, self._place)
        # Ctrl-C ends the copy and not the wait, whose exit code is the job's.
        except (InputError, KeyboardInterrupt) as error:
            again = f"the result was not written here ({_why(error)}); this tries again: dask-jobs wait {self._target}"
            return Where(None, (again, *once, lost))
        here = f"the result is in {folder} ({', '.join(names)})"
        return Where(str(folder), (here, *self._removal(), lost))

    def _nothing(self) -> tuple[str, ...]:
        """Return the lines to show where neither the log nor a run folder has a result."""
        if self._release.exit_code == Stopped.exit_code:
            return (f"{SCRATCH}: what was saved there does not go on; {KEEPING}",)
        if not self._done:
            return ()
        lost = f"{SCRATCH}; {KEEPING}"
        if not is_run_folder(self._place):
            return (*self._removal(), lost)
        earlier = (
            f"{self._place} holds the result of an earlier wait, perhaps of this run: dask-jobs show {self._place}"
        )
        return (*self._removal(), earlier, lost)

    def _lost(self) -> str:
        """Return the lost files of the run folder; those that the log usually has come first."""
        assert self._outcome is not None
        rest = f" ({self._outcome.job.beside_result})" if self._outcome.job.beside_result else ""
        files = [f"{name} is lost: {why}; so is " for name, why in self._outcome.logged.missing.items()]
        return "".join(files) + f"the rest of the run folder{rest} was scratch space and is lost"

    def _from_claim(self) -> Where:
        if not self._done and not self._left_something():
            return Where(None, ())
        get = f"dask-jobs fetch {self._target}"
        if not self._fetch:
            return Where(None, (f"to get the run folder: {get}", *self._removal(", once you have it")))
        try:
            folder = self._fetched()
        except (JobError, KeyboardInterrupt) as error:
            again = f"the run folder was not brought here ({_why(error)}); this tries again: {get}"
            return Where(None, (again, *self._removal(", once you have it")))
        here = "the run folder is in" if self._done else "what there is of the run folder is in"
        return Where(str(folder), (f"{here} {folder}", *self._stale(folder), *self._removal()))

    def _stale(self, folder: Path) -> tuple[str, ...]:
        """Return the line on a result in the folder of a run that failed: an attempt deletes it when it begins."""
        if self._done or not (folder / "result.json").exists():
            return ()
        return (f"{folder}/result.json is the result of an earlier run in that folder, not of this one",)

    def _left_something(self) -> bool:
        """Return whether a run that failed may have left files: bad options are found before there are any."""
        return self._release.exit_code != InputError.exit_code and any(
            started(pod, "driver") for pod in self._run.driver_pods
        )

    def _fetched(self) -> Path:
        """Copy the run folder from its claim; leftover workers could hold the resources that the helper pod needs.

        Raises:
            JobError: it could not be read, or not be written here.
        """
        self._end_workers()
        over = grace(self._run) + MORE_SECONDS
        run = until(self._cluster, self._release.name, "the end of the driver's pod", _driver_over, over)
        with received(self._cluster, self._objects, run, self._place, journal=False) as part:
            return put_result(part, self._place)

    def _end_workers(self) -> None:
        if self._workers_ended:
            return
        self._workers_ended = True  # before the try: what fails once is not repeated at the end
        try:
            end_workers(self._cluster, self._release.name, self._run)
        except JobError as error:
            self._view.notify(f"dask-jobs: workers may be left ({error})")


def _driver_over(run: Run) -> bool:
    return not any(live(pod) and started(pod, "driver") and not terminated(pod, "driver") for pod in run.driver_pods)


def _why(error: BaseException) -> str:
    return str(error) or "interrupted"
