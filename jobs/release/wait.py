"""`dask-jobs wait`: follows a release to its end, and ends with the job's exit code."""

from __future__ import annotations

import time

from jobs.errors import ClusterError, InputError
from jobs.release.client import Cluster
from jobs.release.follow import Tails
from jobs.release.lines import duration
from jobs.release.objects import Objects, Run, ended, live, name, started
from jobs.release.reading import read
from jobs.release.screen import Screen
from jobs.release.show import describe, next_command, resume_command
from jobs.release.state import Release, exit_code, held_up_for, release_state, start_timeout
from jobs.release.stop import end_workers, suspend_driver, suspend_workers

POLL_SECONDS = 2.0
UNREACHABLE_SECONDS = 900.0
"""How long the API may fail to answer until the wait is given up."""
REST_SECONDS = 15.0
TIMED_OUT = 124
"""Exit code for --timeout, as `timeout(1)` has it: the job goes on."""


class Wait:
    """Follows one release.

    Args:
        cluster: where it is.
        release: its name.
        screen: where its lines are shown.
    """

    def __init__(self, cluster: Cluster, release: str, screen: Screen) -> None:
        self._cluster, self._release, self._screen = cluster, release, screen
        self._tails = Tails(cluster)
        self._said: set[tuple[str, str, str]] = set()
        self._driver = ""
        self._seen = False
        self._unreachable: float | None = None

    def run(self, timeout: float | None) -> int:
        """Follow the release until it has ended; return the job's exit code, or TIMED_OUT.

        Raises:
            InputError: there is no such release, or it was removed meanwhile.
            ClusterError: its driver could not be started in time, or the API does not answer any more.
        """
        end = time.monotonic() + timeout if timeout else float("inf")
        while True:
            now = self._look()
            if now is not None and (code := self._code(*now)) is not None:
                return self._finish(*now, code)
            if time.monotonic() > end:
                self._screen.say(f"dask-jobs: the wait has timed out; {self._release} goes on")
                return TIMED_OUT
            for _, line in self._tails.lines(min(POLL_SECONDS, max(0.1, end - time.monotonic()))):
                self._screen.line(line)

    def _look(self) -> tuple[Objects, Run] | None:
        """Read the release and say what is new; None if the API does not answer."""
        try:
            objects, run = read(self._cluster, self._release, follows=True)
        except InputError as error:
            if self._seen:
                raise InputError(f"release {self._release} was removed while it was waited for") from error
            raise
        except ClusterError as error:
            self._blip(error)
            return None
        self._seen, self._unreachable = True, None
        self._say(release_state(objects, run))
        self._follow(run)
        return objects, run

    def _blip(self, error: ClusterError) -> None:
        now = time.monotonic()
        if self._unreachable is None:
            self._unreachable = now
            self._screen.say(f"dask-jobs: {error}; trying on")
        if not self._seen or now - self._unreachable > UNREACHABLE_SECONDS:
            raise error

    def _say(self, release: Release) -> None:
        if release.others:
            self._once(("", "", release.run), f"an upgrade is in progress: run {release.run} is followed")
        for trouble in release.troubles:
            self._once((trouble.kind, trouble.role, trouble.what), describe(trouble, ended=release.phase == "failed"))

    def _once(self, key: tuple[str, str, str], text: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._screen.say(text, "yellow")

    def _follow(self, run: Run) -> None:
        """Follow the newest driver once it has started; what is left of the one before comes first."""
        pod = next((pod for pod in reversed(run.driver_pods) if started(pod, "driver")), None)
        if pod is None or name(pod) == self._driver:
            return
        if self._driver:
            for _, line in self._tails.rest(REST_SECONDS):
                self._screen.line(line)
            self._screen.begin_attempt()
            self._screen.say(f"dask-jobs: the driver was replaced: following {name(pod)}")
        self._driver = name(pod)
        self._tails.add(self._driver, "driver")

    def _code(self, objects: Objects, run: Run) -> int | None:
        """Return the job's exit code if it has ended and its driver is gone; end it if it cannot start."""
        code = exit_code(run)
        if code is not None and (ended(run.driver) or not any(live(pod) for pod in run.driver_pods)):
            return code
        held, limit = held_up_for(run, objects.now), start_timeout(run)
        if held > limit:
            suspend_driver(self._cluster, run, f"its driver did not start for {limit:g} s")
            suspend_workers(self._cluster, run)
            causes = "; ".join(trouble.what for trouble in release_state(objects, run).troubles if trouble.now)
            raise ClusterError(
                f"the driver could not start for {duration(held)} (deadlines.start is {limit:g} s): "
                f"{causes or 'the cluster does not say why'}; the release is stopped (both Jobs are suspended)"
            )
        return None

    def _finish(self, objects: Objects, run: Run, code: int) -> int:
        for _, line in self._tails.rest(REST_SECONDS):
            self._screen.line(line)
        self._screen.end(success=code == 0)
        release = release_state(objects, run)
        if ended(run.driver):
            self._screen.say(f"next: {next_command(release)}")
            end_workers(self._cluster, self._release, run)
            return code
        self._screen.say(f"dask-jobs: {self._release} is stopped (suspended); it goes on by: {resume_command(release)}")
        return code
