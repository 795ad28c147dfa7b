"""When `wait` gives up on a driver: only one that a Pending pod or a refusal shows to be unable to start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from situation import objects, run, state

from jobs.release.actions.wait import awaits_driver, not_started
from jobs.release.api.objects import Objects, Run, name
from jobs.release.status.start import driver_seen, held_up_for, start_timeout


def _later(recorded: str, seconds: float) -> Objects:
    found = objects(recorded)
    return replace(found, now=found.now + seconds)


def test_held_up_counts_from_the_pod_that_cannot_start() -> None:
    """A driver that never started is held up since its pod was made; one that runs, is queued or ended is not."""
    waiting = run("image-never")
    assert held_up_for(_later("image-never", 700), waiting) == pytest.approx(700, abs=30)
    assert start_timeout(waiting) == 600
    for recorded in ("running", "queued", "done", "stopped", "suspended"):
        assert held_up_for(_later(recorded, 10**6), run(recorded)) == 0


def test_held_up_without_any_pod() -> None:
    """A driver whose pod is refused is held up since its Job began, or since the caller has looked."""
    found = _later("insecure", 700)
    assert held_up_for(found, run("insecure")) == pytest.approx(700, abs=60)
    assert held_up_for(found, run("insecure"), begun=found.now - 5) == 5


def test_a_driver_that_vanished_is_not_held_up() -> None:
    """A pod that was deleted by force after a long time leaves nothing that explains a start that fails."""
    gone, found = replace(run("running"), driver_pods=()), _later("running", 5000)
    assert driver_seen(run("running"))
    assert held_up_for(found, gone, seen=found.now - 4, begun=found.now - 5000) == 0
    assert held_up_for(found, gone) == 0


def test_a_driver_that_is_refused_after_it_ran() -> None:
    """After a started driver was seen, its successor is held up from then on, and by refusals since then alone."""
    found, waiting = objects("insecure"), run("insecure")
    assert held_up_for(replace(found, now=found.now + 30), waiting, seen=found.now + 10) == 0
    (event, *_) = found.events
    late = {**event, "lastTimestamp": "2030-01-01T00:00:00Z", "eventTime": None}
    late_one = replace(found, now=found.now + 30, events=({**late, "involvedObject": {"name": name(waiting.driver)}},))
    assert held_up_for(late_one, waiting, seen=found.now + 10) == pytest.approx(20)


def test_a_cause_is_told_once() -> None:
    """The error names the driver's own causes, each once; that the workers have the same one adds nothing."""
    release = state("image-never")
    (cause,) = (one for one in release.findings if one.role == "driver")
    worker = replace(cause, where="worker pod fit-workers-0123abcd-0")
    told = not_started(replace(release, findings=(cause, cause, worker)), 36, 20)
    assert told.startswith("the driver could not start for 36 s (deadlines.start is 20 s): ")
    assert told.count(cause.cause) == 1


def _ended(found: Run, code: int) -> Run:
    """Return a run whose only driver pod has ended with a code."""
    (pod,) = found.driver_pods
    own: dict[str, Any] = {"name": "driver", "state": {"terminated": {"exitCode": code}}}
    return replace(found, driver_pods=({**pod, "status": {"phase": "Failed", "containerStatuses": [own]}},))


def test_a_new_driver_is_awaited() -> None:
    """While the Job goes on, a driver that is gone or has ended with 4 will be followed by another."""
    found = run("running")
    followed = name(found.driver_pods[0])
    assert not awaits_driver(found, followed)
    assert not awaits_driver(found, "")
    assert awaits_driver(replace(found, driver_pods=()), followed)
    assert awaits_driver(_ended(found, 4), followed)
    assert not awaits_driver(_ended(found, 1), followed)
    assert not awaits_driver(run("done"), "fit-driver-0123abcd-xxxxx")
