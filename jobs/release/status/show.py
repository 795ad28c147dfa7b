"""Prints a release's state as text, with colours on a terminal; or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from jobs.formatting import cut, duration, printable, printable_lines
from jobs.release.api.driver_log import Progress
from jobs.release.diagnosis.finding import Finding
from jobs.release.status.state import Release
from jobs.runs.display.progress import counted, metrics_text

STYLES = {
    "done": "green",
    "running": "green",
    "failed": "red",
    "stopped": "yellow",
    "suspended": "yellow",
    "stopping": "yellow",
}
JSON_KEYS = {"cause": "what", "remedy": "todo", "active": "now"}
"""Field of a finding -> its key in the JSON of `status`, where they differ; programs read the keys."""
PLAIN_WIDTH = 500
NAMES = 3
"""Maximum pods that are named; the rest is counted."""
KINDS = "job,service,configmap,networkpolicy,poddisruptionbudget,serviceaccount"
"""The kinds of a release's objects, except for the claim with its run folder."""


def show(release: Release, now: float) -> None:
    """Print a release's state on standard output; `now` is the cluster's time, seconds since 1970."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    phase = (release.phase, f"bold {STYLES.get(release.phase, 'cyan')}")
    head = Text.assemble((release.name, "bold"), f" in namespace {release.namespace}: ", phase)
    if release.exit_code is not None:
        head.append(f" (exit code {release.exit_code})")
    console.print(head)
    for name, text in rows(release, now):
        console.print(Text.assemble((f"{name:<12}", "dim"), printable(text)))
    for finding in release.findings:
        text = describe(finding, ended=release.phase in ("done", "failed"))
        console.print(Text(text, style="red" if finding.active else "yellow"))


def rows(release: Release, now: float) -> Iterator[tuple[str, str]]:
    """Yield the state of a release, as (name, text)."""
    yield "run", f"{release.run}, attempt {release.attempt}, {_age(release, now)}"
    if release.others:
        yield "", f"an upgrade is in progress: run {', '.join(release.others)} of this release is on its way out"
    if release.progress and release.phase != "done":
        yield "progress", progress_text(release.progress, running=release.phase == "running")
    elif release.doing and release.phase == "starting":
        yield "doing", release.doing
    yield "workers", _workers(release)
    if release.drivers_failed or release.workers.failed:
        yield "losses", f"pods that failed: driver {release.drivers_failed}, workers {release.workers.failed}"
    yield "run folder", release.run_url + (" (scratch: lost with the driver's pod)" if release.scratch else "")
    yield from _why(release)
    yield "next", next_command(release)
    if left := leftovers(release):
        yield "", left


def _why(release: Release) -> Iterator[tuple[str, str]]:
    """Yield why a release was stopped, its driver's error and retry, and when the next driver comes."""
    if release.reason:
        yield "reason", release.reason
    if release.error and (release.retry or release.phase in ("failed", "stopped", "stopping")):
        yield "error", release.error
    if release.retry and release.phase in ("starting", "running"):
        yield "retry", release.retry
    if release.next_driver:
        yield "driver", release.next_driver


def _age(release: Release, now: float) -> str:
    if release.finished is not None and release.phase in ("done", "failed", "stopped"):
        took, ago = duration(release.finished - release.began), duration(now - release.finished)
        return f"ended {ago} ago after {took}"
    return f"since {duration(now - release.began)}"


def _workers(release: Release) -> str:
    workers = release.workers
    pending = f"; Pending: {_names(workers.pending)}" if workers.pending else ""
    if release.phase in ("done", "failed", "suspended", "stopped"):
        return f"{workers.live} left of {workers.wanted}{pending}"
    least = f" (starts with {workers.least})" if workers.least != workers.wanted else ""
    return f"{workers.ready} of {workers.wanted} ready{least}{pending}"


def _names(pods: Sequence[str]) -> str:
    return ", ".join(pods[:NAMES]) + (f" and {len(pods) - NAMES} more" if len(pods) > NAMES else "")


def leftovers(release: Release) -> str:
    """Return the command that ends the leftover workers of an ended run; empty if it has none."""
    workers = release.workers
    counted = release.phase == "failed" or (release.phase == "done" and workers.pending)
    if not (counted and workers.live):
        return ""
    return (
        f"{workers.live} worker pods are left: dask-jobs cancel {release.name} -n {release.namespace} ends them; so "
        f"does {remove_command(release)}, which removes the release"
    )


def remove_command(release: Release) -> str:
    """Return the command that removes a release: Helm's, or kubectl's after `kubectl apply` (claims are kept)."""
    if release.helm:
        return f"helm uninstall {release.name} -n {release.namespace}"
    return f"kubectl delete {KINDS} -n {release.namespace} -l app.kubernetes.io/instance={release.name}"


def next_command(release: Release) -> str:
    """Return the next command."""
    target = f"{release.name} -n {release.namespace}"
    if release.phase == "done":
        if release.scratch and not release.has_log:
            gone = "the result went with the driver's pod, unless a dask-jobs wait has brought it"
            return f"{gone}; to remove the release: {remove_command(release)}"
        if release.scratch:
            return f"dask-jobs wait {target} brings the result; then, to remove the release: {remove_command(release)}"
        return f"dask-jobs fetch {target}"
    if release.phase == "failed":
        return f"dask-jobs logs {target}"
    if release.phase in ("suspended", "stopped"):
        return f"goes on by: {resume_command(release)}"
    return f"dask-jobs wait {target}"


def resume_command(release: Release) -> str:
    """Return the command that resumes a stopped release."""
    place, jobs = f"-n {release.namespace}", " ".join(release.jobs)
    if release.queue:
        workloads = "".join(f" $(kubectl get workloads {place} -o name | grep job-{job}-)" for job in release.jobs)
        patch = f'kubectl patch{workloads} {place} --type merge -p \'{{"spec":{{"active":true}}}}\''
        return f"kubectl annotate job {release.jobs[0]} dask-jobs/stopped- {place} && {patch}"
    change = '{"metadata":{"annotations":{"dask-jobs/stopped":null}},"spec":{"suspend":false}}'
    return f"kubectl patch job {jobs} {place} --type merge -p '{change}'"


def progress_text(progress: Progress, *, running: bool = True) -> str:
    """Return progress as one line: 12 of 100 trials (12%), metrics, ETA."""
    left = ""
    if running and progress.seconds_left is not None:
        left = f"about {duration(progress.seconds_left)} left at most"
    parts = [
        counted(progress.done, progress.total, progress.steps, at_most=progress.at_most),
        metrics_text(progress.metrics),
        left,
    ]
    return "  ".join(part for part in parts if part)


def describe(finding: Finding, *, ended: bool = False) -> str:
    """Return a finding as text: its place, its cause, its remedy, and the log's end."""
    others = f" (and {finding.count - 1} more)" if finding.count > 1 else ""
    kind = ("cause" if ended else "stuck") if finding.active else "before"
    text = f"{kind}: {finding.where}{others}: {finding.cause}\n  -> {finding.remedy}"
    lines = [*text.split("\n"), *(f"  | {line}" for line in printable_lines(finding.log).splitlines())]
    return "\n".join(cut(printable_lines(line)) for line in lines)


def as_json(release: Release) -> str:
    """Return a release's state as JSON, for programs."""
    fraction = {"fraction": release.progress.fraction} if release.progress and not release.progress.at_most else {}
    content = asdict(release)
    content["progress"] = {**content["progress"], **fraction} if release.progress else None
    content["troubles"] = [_finding_json(finding) for finding in content.pop("findings")]
    return json.dumps(content, indent=2)


def _finding_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding's fields under their keys in `status --json`."""
    return {JSON_KEYS.get(name, name): value for name, value in fields.items()}
