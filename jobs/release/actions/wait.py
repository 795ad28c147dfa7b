"""`dask-jobs wait`: follows a release to its end, hands its result over, and ends with the job's exit code."""

from __future__ import annotations

import time
from collections.abc import Collection

from jobs.errors import ClusterError, InputError, Stopped
from jobs.formatting import duration
from jobs.release.actions.cancel import suspend_driver, suspend_workers
from jobs.release.actions.hand_over import KEEPING, HandOver
from jobs.release.actions.wait_view import WaitView
from jobs.release.api.client import Cluster
from jobs.release.api.follow import Tails
from jobs.release.api.objects import Objects, Run, ended, live, name, started, suspended, terminated
from jobs.release.api.snapshot import read
from jobs.release.status.show import describe, resume_command
from jobs.release.status.start import driver_seen, held_up_for, start_timeout
from jobs.release.status.state import Release, exit_code, is_scratch, release_state

POLL_SECONDS = 2.0
UNREACHABLE_SECONDS = 900.0
"""Maximum time without an answer of the API; then the wait ends."""
REST_SECONDS = 15.0
BEGINS_ANEW = f"its run folder was scratch space of the last driver's pod, so the run begins anew ({KEEPING})"
TIMED_OUT = 124
"""Exit code for --timeout, as `timeout(1)` has it: the job continues."""


class Wait:
    """Follows one release.

    Args:
        cluster: the release's.
        release: its name.
        view: shows its lines.
        fetch: copy the result to this machine.
    """

    def __init__(self, cluster: Cluster, release: str, view: WaitView, *, fetch: bool) -> None:
        self._cluster, self._release, self._view, self._fetch = cluster, release, view, fetch
        self._tails = Tails(cluster)
        self._notified: set[tuple[str, str, str]] = set()
        self._stuck: dict[tuple[str, str], float] = {}
        self._driver = ""
        self._seen = False
        self._begun = self._driver_seen = 0.0
        self._unreachable: float | None = None

    def run(self, timeout: float | None) -> int:
        """Follow the release until it has ended; return the job's exit code, or TIMED_OUT.

        Raises:
            InputError: there is no such release, or it was removed meanwhile.
            ClusterError: its driver could not be started in time, or the API no longer answers.
        """
        end = time.monotonic() + timeout if timeout else float("inf")
        while True:
            now = self._refresh()
            if now is not None and (code := self._code(*now)) is not None:
                return self._finish(*now, code)
            if time.monotonic() > end:
                self._view.notify(f"dask-jobs: the wait has timed out; {self._release} goes on")
                return TIMED_OUT
            for _, line in self._tails.lines(min(POLL_SECONDS, max(0.1, end - time.monotonic()))):
                self._view.line(line)
            self._view.passed()

    def _refresh(self) -> tuple[Objects, Run] | None:
        """Read a snapshot of the release and show what is new; None if the API does not answer."""
        try:
            objects, run = read(self._cluster, self._release, follows=True)
        except InputError as error:
            if self._seen:
                raise InputError(f"release {self._release} was removed while it was waited for") from error
            raise
        except ClusterError as error:
            self._on_no_answer(error)
            return None
        self._seen, self._unreachable = True, None
        self._begun = self._begun or objects.now  # the cluster's time, in which its pods' ages are too
        if driver_seen(run):
            self._driver_seen = objects.now
        self._report(release_state(objects, run))
        self._follow(run)
        if awaits_driver(run, self._driver):
            text = f"dask-jobs: {self._driver} has ended: a new driver is awaited{begins_anew(run)}"
            self._notify_once(("", self._driver, "awaited"), text)
        return objects, run

    def _on_no_answer(self, error: ClusterError) -> None:
        now = time.monotonic()
        if self._unreachable is None:
            self._unreachable = now
            self._view.notify(f"dask-jobs: {error}; trying on")
        # Never seen: it may be another cluster's kubeconfig.
        if not self._seen or now - self._unreachable > UNREACHABLE_SECONDS:
            raise error

    def _report(self, release: Release) -> None:
        if release.others:
            self._notify_once(("", "", release.run), f"an upgrade is in progress: run {release.run} is followed")
        if release.phase == "suspended":
            text = f"dask-jobs: {release.name} is suspended; it is waited on, and goes on by: {resume_command(release)}"
            self._notify_once(("", "", "suspended"), text)
        if release.next_driver:
            # Once for each pod that failed: the seconds change all the time.
            failures = release.next_driver.rpartition("(")[2]
            self._notify_once(("", "backoff", failures), f"dask-jobs: {release.next_driver}")
        for finding in release.findings:
            text = describe(finding, ended=release.phase == "failed")
            self._notify_once((finding.kind, finding.role, finding.cause), text)
        # Without the cause, whose words may change while it lasts, as by the number of nodes.
        self._report_cured({(one.kind, one.role) for one in release.findings if one.active})

    def _report_cured(self, active: Collection[tuple[str, str]]) -> None:
        """Report what was stuck and is no more, and forget it: it may come again."""
        now = time.monotonic()
        for key in [key for key in self._stuck if key not in active]:
            seconds = now - self._stuck.pop(key)
            for told in [told for told in self._notified if told[:2] == key]:
                self._notified.discard(told)
                self._view.notify(f"cured after {duration(seconds)}: {told[1]}: {told[2]}", "dim")
        for key in active:
            self._stuck.setdefault(key, now)

    def _notify_once(self, key: tuple[str, str, str], text: str) -> None:
        if key not in self._notified:
            self._notified.add(key)
            self._view.notify(text, "yellow")

    def _follow(self, run: Run) -> None:
        """Follow the newest driver once it has started, after the rest of the previous one's log."""
        pod = next((pod for pod in reversed(run.driver_pods) if started(pod, "driver")), None)
        if pod is None or name(pod) == self._driver:
            return
        if self._driver:
            for _, line in self._tails.rest(REST_SECONDS):
                self._view.line(line)
            self._view.begin_attempt()
            self._view.notify(f"dask-jobs: the driver was replaced: following {name(pod)}{begins_anew(run)}")
        self._driver = name(pod)
        self._tails.add(self._driver, "driver")

    def _code(self, objects: Objects, run: Run) -> int | None:
        """Return the job's exit code if it has ended and its driver is gone; end it if it cannot start."""
        code = exit_code(run)
        # A suspended driver has a code before its pod is gone: it still saves, and what it logs belongs to this run.
        if code is not None and (ended(run.driver) or not any(live(pod) for pod in run.driver_pods)):
            return code
        held = held_up_for(objects, run, self._driver_seen, self._begun)
        if held > start_timeout(run):
            why = not_started(release_state(objects, run), held, start_timeout(run))
            suspend_driver(self._cluster, run, why, ClusterError.exit_code)
            suspend_workers(self._cluster, run)
            raise ClusterError(f"{why}; the release is stopped (both Jobs are suspended)")
        return None

    def _finish(self, objects: Objects, run: Run, code: int) -> int:
        for _, line in self._tails.rest(REST_SECONDS):
            self._view.line(line)
        if ended(run.driver):
            HandOver(self._cluster, objects, run, self._view, fetch=self._fetch).run()
            return code
        self._view.end(success=False)
        release = release_state(objects, run)
        self._view.notify(
            f"dask-jobs: {self._release} is stopped ({release.reason}); it goes on by: {resume_command(release)}"
            f"{begins_anew(run)}"
        )
        return code


def begins_anew(run: Run) -> str:
    """Return the note for a run that another driver takes over: the last one's saved state may be lost with its pod."""
    return f"; {BEGINS_ANEW}" if is_scratch(run.driver) else ""


def not_started(release: Release, held: float, limit: float) -> str:
    """Return why a release is stopped whose driver is held up for longer than `limit`; both are seconds."""
    causes = dict.fromkeys(one.cause for one in release.findings if one.active and one.role == "driver")
    why = "; ".join(causes) or "the cluster does not say why"
    return f"the driver could not start for {duration(held)} (deadlines.start is {limit:g} s): {why}"


def awaits_driver(run: Run, followed: str) -> bool:
    """Return whether the followed driver is gone, or has saved and ended (4), while its Job continues."""
    if not followed or suspended(run.driver) or ended(run.driver):
        return False
    if any(live(pod) and name(pod) != followed for pod in run.driver_pods if started(pod, "driver")):
        return False
    pod = next((pod for pod in run.driver_pods if name(pod) == followed), None)
    end = terminated(pod, "driver") if pod else None
    return pod is None or (end is not None and end["exitCode"] == Stopped.exit_code)
