"""The state of a release, made of objects that were recorded on a real cluster: phase, exit code, progress, workers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import situation
from situation import objects, run, state

from jobs.release.api import driver_log as lines
from jobs.release.api.objects import Objects, name, present_run
from jobs.release.status.show import as_json, describe, progress_text, rows
from jobs.release.status.state import exit_code, is_scratch, over, release_state

PHASES = {
    "running": ("running", None),
    "done": ("done", 0),
    "user-code-failed": ("failed", 1),
    "bad-options": ("failed", 2),
    "backoff": ("failed", 3),
    "driver-oom": ("failed", 3),
    "deadline": ("failed", 4),
    "stopped": ("stopped", 4),
    "suspended": ("suspended", None),
    "queued": ("pending", None),
    "image-never": ("pending", None),
    "no-memory": ("pending", None),
    "claim-missing": ("pending", None),
    "insecure": ("pending", None),
    "driver-replaced": ("running", None),
    "worker-oom": ("running", None),
}


def test_a_librarys_record_is_text_of_the_log() -> None:
    """A warning or an error that a library logs changes no state, and is among the last lines with its traceback."""
    event = {"time": 1.0, "job": "driver"}
    retry = {**event, "event": "retry", "message": "trying again in 1 s"}
    record = {**event, "event": "error", "logger": "asyncio", "message": "never retrieved", "traceback": "Traceback\nB"}
    log = lines.read(["before", json.dumps(retry), json.dumps(record)])
    assert log.retry == "trying again in 1 s"
    assert log.text == ("before", "error: never retrieved", "Traceback", "B")


@pytest.mark.parametrize(("recorded", "expected"), PHASES.items())
def test_phase_and_exit_code(recorded: str, expected: tuple[str, int | None]) -> None:
    """Each situation has its phase, and once the job has ended its exit code, as the driver's codes are."""
    release = state(recorded)
    assert (release.phase, release.exit_code) == expected


def test_progress_of_a_study() -> None:
    """Of a tune job trials are counted, and the best is told."""
    metrics = {"best": 0.91, "direction": "maximize", "running": 2}
    fields = {"time": 1, "job": "tune", "event": "progress", "done": 12, "total": 1000, **metrics}
    log = lines.read([json.dumps(fields)])
    assert log.progress is not None
    assert progress_text(log.progress) == "12 of 1,000 trials (1%)  best (largest) 0.91  running 2"


def test_progress_and_workers_of_a_running_release() -> None:
    """A running release tells its attempt, its progress with the time left at the rate seen, and its workers."""
    release = state("running")
    assert release.attempt == 1
    assert release.progress is not None
    assert (release.progress.done, release.progress.total) == (20, 1000)
    assert release.progress.seconds_left == pytest.approx(49, abs=5)
    assert (release.workers.ready, release.workers.wanted, release.workers.least) == (2, 2, 2)
    assert release.run_url == "/runs/fit-1"
    assert release.scratch
    assert not release.findings


def test_a_replaced_driver_is_a_loss_that_was_got_over() -> None:
    """The newest driver pod counts; the one before is told as a loss that does not hold the release up."""
    release = state("driver-replaced")
    assert release.drivers_failed == 1
    assert [(finding.kind, finding.active) for finding in release.findings] == [("crash", False)]
    assert "exit code 139" in release.findings[0].cause


def _with_run(found: Objects, key: str, moment: str) -> Objects:
    """Return the objects with another run of the same release, made at a moment."""

    def other(item: Any) -> Any:
        labels = {**item["metadata"]["labels"], "dask-jobs/run": key}
        names = {"name": name(item).replace("0123abcd", key), "labels": labels, "creationTimestamp": moment}
        return {**item, "metadata": {**item["metadata"], **names}}

    jobs = (*found.jobs, *(other(job) for job in found.jobs))
    return replace(found, jobs=jobs, pods=(*found.pods, *(other(pod) for pod in found.pods)))


@pytest.mark.parametrize(
    ("moment", "newest"), [("2030-01-01T00:00:00Z", "ffff0000"), ("2020-01-01T00:00:00Z", "0123abcd")]
)
def test_the_newest_driver_job_counts(moment: str, newest: str) -> None:
    """While an upgrade is in progress the newest run is told, with its own pods alone, and the other is named."""
    both = _with_run(objects("running"), "ffff0000", moment)
    found = present_run(both)
    assert found is not None
    assert found.hash == newest
    assert len(found.driver_pods) == 1
    assert {newest, *found.others} == {"ffff0000", "0123abcd"}
    assert any("an upgrade is in progress" in text for _, text in rows(release_state(both, found), both.now))


def test_pods_that_vanish_are_no_error() -> None:
    """Jobs without pods and logs without lines, as between two requests, still make a state."""
    bare = replace(objects("running"), pods=(), logs={})
    found = present_run(bare)
    assert found is not None
    assert release_state(bare, found).phase == "pending"
    assert not over(found)


def test_no_driver_job_is_no_release() -> None:
    """Objects without a driver Job are no release."""
    assert present_run(replace(objects("running"), jobs=())) is None


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        (
            "PodFailurePolicy",
            "Container driver for pod a/b failed with exit code 2 matching FailJob rule at index 1",
            2,
        ),
        (
            "PodFailurePolicy",
            "Container driver for pod a/b failed with exit code 3 matching FailJob rule at index 1",
            3,
        ),
        ("DeadlineExceeded", "Job was active longer than specified deadline", 4),
        ("BackoffLimitExceeded", "Job has reached the specified backoff limit", 3),
        ("Anything", "", 3),
    ],
)
def test_exit_code_without_pods(reason: str, message: str, code: int) -> None:
    """When the pods are gone the Job's own condition tells the exit code."""
    found = run("running")
    failed = {"type": "Failed", "status": "True", "reason": reason, "message": message}
    driver = {**found.driver, "status": {"conditions": [{**failed, "lastTransitionTime": "2026-11-20T14:00:00Z"}]}}
    assert exit_code(replace(found, driver=driver, driver_pods=())) == code


@pytest.mark.parametrize(
    ("url", "volume", "scratch"),
    [
        ("/runs/fit-1", {"emptyDir": {}}, True),
        ("/runs/fit-1", {"persistentVolumeClaim": {"claimName": "runs"}}, False),
        ("s3://bucket/fit-1", {"emptyDir": {}}, False),
    ],
)
def test_scratch(url: str, volume: dict[str, Any], scratch: object) -> None:
    """A run folder on an emptyDir is lost with the pod; one on a claim or in S3 is not."""
    mounts = [{"name": "root", "mountPath": "/"}, {"name": "runs", "mountPath": "/runs"}]
    volumes = [{"name": "root", "emptyDir": {}}, {"name": "runs", **volume}]
    spec = {"containers": [{"name": "driver", "volumeMounts": mounts}], "volumes": volumes}
    job = {"metadata": {"annotations": {"dask-jobs/run-url": url}}, "spec": {"template": {"spec": spec}}}
    assert is_scratch(job) is scratch


@pytest.mark.parametrize("recorded", situation.NAMES)
def test_every_situation_can_be_shown(recorded: str) -> None:
    """Each situation makes rows, texts and JSON, whatever is missing in it."""
    release = state(recorded)
    assert dict(rows(release, objects(recorded).now))["run folder"].startswith("/runs/fit-1")
    assert all(describe(finding) for finding in release.findings)
    assert f'"phase": "{release.phase}"' in as_json(release)


def test_log_of_a_job_that_goes_on() -> None:
    """Lines that are no JSON are text; the last attempt's progress counts; a torn line does no harm."""
    text = """
{"time": 1.0, "job": "minimize", "event": "attempt", "attempt": 1}
{"time": 2.0, "job": "minimize", "event": "progress", "done": 500, "total": 1000, "loss": 1.0}
dask-jobs: error: the cluster failed
{"time": 3.0, "job": "driver", "event": "retry", "message": "trying again in 1 s"}
{"time": 4.0, "job": "minimize", "event": "attempt", "attempt": 2}
{"time": 5.0, "job": "minimize", "event": "progress", "done": 510, "total": 1000, "loss": "nan"}
{"time": 6.0, "job": "minimize", "event": "progress", "done": 520, "total": 1000, "loss": 0.5}
{"time": 7.0, "job": "minimize", "event": "progr"""
    log = lines.read(text.splitlines())
    assert (log.attempt, log.error, log.doing, log.retry) == (2, "", "", "")
    assert log.progress is not None
    assert (log.progress.done, log.progress.seconds_left) == (520, 48.0)


@pytest.mark.parametrize(("recorded", "expected"), [("done", ("done", 0)), ("user-code-failed", ("failed", 1))])
def test_a_moment_after_the_end(recorded: str, expected: tuple[str, int]) -> None:
    """The driver's container has ended, its Job has no condition yet: the exit code is the truth."""
    found = objects(recorded)
    jobs = tuple({**job, "status": {**job.get("status", {}), "conditions": []}} for job in found.jobs)
    found = replace(found, jobs=jobs)
    run = present_run(found)
    assert run is not None
    release = release_state(found, run)
    assert (release.phase, release.exit_code) == expected
    assert release.finished is not None


@pytest.mark.parametrize(
    ("moments", "left"),
    [
        (("2026-11-20T14:00:00.000Z", "2026-11-20T14:00:10.000Z"), 20),
        ((100.0, 110.0), 20),
        (("soon", "0001-01-01"), None),
    ],
)
def test_times_of_log_lines(moments: tuple[Any, Any], left: float | None) -> None:
    """Moments are in ISO 8601, or as in earlier images in seconds since 1970; a line without one counts for nothing."""
    event = {"job": "minimize", "event": "progress", "total": 30}
    log = lines.read([json.dumps({**event, "time": moment, "done": 10 * at}) for at, moment in enumerate(moments)])
    assert (log.progress and log.progress.seconds_left) == (None if left is None else pytest.approx(left))
