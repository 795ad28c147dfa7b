"""Why no driver pod comes for so long: the Job controller's back-off, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fake import Fake
from situation import objects, run

from jobs.release.api import snapshot
from jobs.release.api.objects import Objects, Run, name
from jobs.release.status.backoff import driver_backoff
from jobs.release.status.show import rows
from jobs.release.status.state import release_state


def _without_driver(failures: int, ago: float, *, pod: bool = False) -> tuple[Objects, Run]:
    """Return a running release whose driver pods were deleted by force, the last one some seconds ago."""
    found, present = objects("running"), run("running")
    gone = {name(one) for one in present.driver_pods}
    event = {"involvedObject": {"name": name(present.driver), "kind": "Job"}, "reason": "SuccessfulCreate"}
    when = datetime.fromtimestamp(found.now - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status: dict[str, Any] = {"manager": "kube-controller-manager", "subresource": "status", "time": when}
    spec = {"manager": "helm", "time": "2035-01-01T00:00:00Z"}
    driver = {**present.driver, "metadata": {**present.driver["metadata"], "managedFields": [spec, status]}}
    jobs = tuple(driver if name(job) == name(driver) else job for job in found.jobs)
    pods = tuple(one for one in found.pods if name(one) not in gone)
    found = replace(found, pods=pods, jobs=jobs, creations=(event,) * failures)
    return found, replace(present, driver=driver, driver_pods=())


@pytest.mark.parametrize(
    ("failures", "ago", "text"),
    [
        (1, 4, "Kubernetes makes the next driver pod in about 6 s (back-off after 1 failure)"),
        (5, 0, "Kubernetes makes the next driver pod in about 3 min (back-off after 5 failures)"),
        (5, 110, "Kubernetes makes the next driver pod in about 50 s (back-off after 5 failures)"),
        (9, 0, "Kubernetes makes the next driver pod in about 10 min (back-off after 9 failures)"),
        (2, 60, "Kubernetes makes the next driver pod in about 0 s (back-off after 2 failures)"),
    ],
)
def test_status_says_when_the_next_driver_comes(failures: int, ago: float, text: str) -> None:
    """10 s after the first failure, twice as long after each, at most 10 minutes, from the last failure on."""
    release = release_state(*_without_driver(failures, ago))
    shown = dict(rows(release, release.began + 100))
    assert shown["driver"].startswith("Kubernetes makes the next driver pod in about ")
    assert shown["driver"].partition("(")[2] == text.partition("(")[2]
    found = driver_backoff(*_without_driver(failures, ago))
    assert found is not None
    assert found.seconds_left == pytest.approx(max(0.0, min(10 * 2 ** (failures - 1), 600) - ago), abs=1)


@pytest.mark.parametrize("recorded", ["running", "done", "stopped", "suspended", "backoff", "deadline"])
def test_no_other_state_has_one(recorded: str) -> None:
    """There is a driver, or none is to come."""
    assert driver_backoff(objects(recorded), run(recorded)) is None


def test_the_first_pod_is_no_failure() -> None:
    """A release that was just installed has no pod yet."""
    assert driver_backoff(*_without_driver(0, 0)) is None


@pytest.mark.parametrize("pods", [True, False])
def test_it_is_asked_for_where_there_is_no_driver_alone(*, pods: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more request of the API in these moments, none in all others."""
    asked: list[str] = []
    monkeypatch.setattr(Fake, "creations", lambda self, job: tuple(asked.append(job) or ()))
    snapshot.read(Fake("running", pods=pods), "fit")  # type: ignore[arg-type]
    assert len(asked) == (not pods)
