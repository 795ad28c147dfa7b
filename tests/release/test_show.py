"""What `dask-jobs status` tells of a release, as people read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from situation import objects, run, state

from jobs.errors import ClusterError, Stopped
from jobs.release.actions.cancel import is_stopping
from jobs.release.api.objects import Object, name
from jobs.release.status.show import leftovers, next_command, remove_command, rows
from jobs.release.status.state import Release, release_state


def _rows(release: Release) -> dict[str, str]:
    return dict(rows(release, 0.0))


def _noted(job: Object, **annotations: str) -> Object:
    metadata = job["metadata"]
    return {**job, "metadata": {**metadata, "annotations": {**metadata["annotations"], **annotations}}}


RETRY = """
{"time": 2.0, "job": "minimize", "event": "progress", "done": 500, "total": 1000, "loss": 1.0}
dask-jobs: error: the scheduler was lost
{"time": 3.0, "job": "driver", "event": "retry", "message": "trying again in 8 s: retry 2 of 6"}
"""


def test_a_driver_that_tries_again_tells_why() -> None:
    """While the last event is a retry, its message and the error before it stand beside the progress."""
    found, present = objects("running"), run("running")
    key = (name(present.driver_pods[0]), "driver")
    told = _rows(release_state(replace(found, logs={key: RETRY}), present))
    assert told["error"] == "the scheduler was lost"
    assert told["retry"] == "trying again in 8 s: retry 2 of 6"
    assert "500 of 1,000 iterations (50%)" in told["progress"]
    goes_on = RETRY + '{"time": 9.0, "job": "minimize", "event": "doing", "message": "connecting"}'
    assert not {"error", "retry"} & set(_rows(release_state(replace(found, logs={key: goes_on}), present)))


def test_a_suspended_release_has_not_ended() -> None:
    """Installed with suspend=true it has no exit code and no end, and is told how it goes on."""
    release = state("suspended")
    assert (release.phase, release.exit_code, release.reason) == ("suspended", None, "")
    assert _rows(release)["next"].startswith("goes on by: kubectl patch job")
    assert "ended" not in _rows(release)["run"]


@pytest.mark.parametrize(
    ("note", "code", "reason"),
    [
        ("by dask-jobs cancel", Stopped.exit_code, "by dask-jobs cancel"),
        (
            "exit code 3: the driver could not start: no node",
            ClusterError.exit_code,
            "the driver could not start: no node",
        ),
    ],
)
def test_a_stopped_release_tells_its_reason(note: str, code: int, reason: str) -> None:
    """The Job's note gives the exit code and the reason: 4, or 3 if `wait` has stopped what could not start."""
    present = run("stopped")
    release = release_state(
        objects("stopped"), replace(present, driver=_noted(present.driver, **{"dask-jobs/stopped": note}))
    )
    assert (release.phase, release.exit_code) == ("stopped", code)
    assert _rows(release)["reason"] == reason


def test_a_second_cancel_knows_of_the_first() -> None:
    """Only our own note says that a release is being stopped; a suspension by others does not."""
    assert is_stopping(run("stopped"))
    assert not any(is_stopping(run(other)) for other in ("suspended", "queued", "running"))


def _pending(pods: tuple[Object, ...]) -> tuple[Object, ...]:
    return tuple({**pod, "status": {"phase": "Pending"}} for pod in pods)


def test_workers_that_are_left_after_a_failure() -> None:
    """Pods that wait are counted and named, and the commands that end them are told."""
    present, running = run("bad-options"), run("running")
    waiting = replace(present, worker_pods=_pending(running.worker_pods))
    release = release_state(objects("bad-options"), waiting)
    names = ", ".join(name(pod) for pod in running.worker_pods)
    assert _rows(release)["workers"] == f"2 left of 2; Pending: {names}"
    assert f"dask-jobs cancel fit -n {release.namespace} ends them" in leftovers(release)
    assert not leftovers(state("running"))
    assert not leftovers(state("done"))


@pytest.mark.parametrize(
    ("managed", "annotations", "command"),
    [
        ("Helm", {"meta.helm.sh/release-name": "fit"}, "helm uninstall fit -n "),
        ("Helm", {}, "kubectl delete job,service,"),
        ("kubectl", {}, "kubectl delete job,service,"),
    ],
)
def test_how_a_release_is_removed(managed: str, annotations: dict[str, str], command: str) -> None:
    """`helm uninstall` is told for what Helm has installed; its templates, applied by kubectl, are deleted by label."""
    present = run("done")
    driver: Any = _noted(present.driver, **annotations)
    driver["metadata"]["labels"] = {**driver["metadata"]["labels"], "app.kubernetes.io/managed-by": managed}
    release = release_state(objects("done"), replace(present, driver=driver))
    assert remove_command(release).startswith(command)
    assert remove_command(release).endswith("fit" if managed == "kubectl" or not annotations else release.namespace)
    assert next_command(release).startswith(f"dask-jobs wait fit -n {release.namespace} brings the result; then")
    assert next_command(release).endswith(remove_command(release))


def test_a_result_that_went_with_the_pod() -> None:
    """When a release on scratch space has ended and its driver's pod is deleted, no command brings the result."""
    present = run("done")
    for pods in ((), run("driver-replaced").driver_pods[:1]):
        release = release_state(objects("done"), replace(present, driver_pods=pods))
        told = next_command(release)
        assert told.startswith("the result went with the driver's pod, unless a dask-jobs wait has brought it")
        assert told.endswith(remove_command(release))
