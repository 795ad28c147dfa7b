"""When Kubernetes makes the next driver pod: it waits, twice as long after each failure in a row. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.formatting import duration, plural
from jobs.release.api.objects import Objects, Run, ended, live, name, seconds, suspended, terminated

FIRST_SECONDS, MAX_SECONDS = 10.0, 600.0
"""After the first failure, and at most: constants of the Job controller (DefaultJobPodFailureBackOff, Max...)."""


@dataclass(frozen=True)
class Backoff:
    """The wait for the next driver pod.

    Attributes:
        failures: pods that have failed in a row; those that were deleted by force count.
        seconds_left: until the next one is made, about.
    """

    failures: int
    seconds_left: float

    @property
    def text(self) -> str:
        """Return it for a person."""
        failures = f"back-off after {plural(self.failures, 'failure')}"
        return f"Kubernetes makes the next driver pod in about {duration(self.seconds_left)} ({failures})"


def driver_backoff(objects: Objects, run: Run) -> Backoff | None:
    """Return the wait for the next driver pod; None where there is one, or none is to come."""
    if ended(run.driver) or suspended(run.driver) or any(live(pod) for pod in run.driver_pods):
        return None
    # A pod that was deleted by force left nothing but the event of its creation, which the API keeps for an hour.
    created = sum(event["involvedObject"].get("name") == name(run.driver) for event in objects.creations)
    failures = max(created, len(run.driver_pods), int(run.driver.get("status", {}).get("failed", 0)))
    if not failures:
        return None  # the first pod is about to be made
    delay = min(FIRST_SECONDS * 2.0 ** (failures - 1), MAX_SECONDS)
    return Backoff(failures, max(0.0, delay - (objects.now - _last_failure(objects, run))))


def _last_failure(objects: Objects, run: Run) -> float:
    """Return when the last pod failed, seconds since 1970; now if that is not known."""
    ends = [terminated(pod, "driver") for pod in run.driver_pods]
    times = [seconds(end["finishedAt"]) for end in ends if end]
    # The controller writes the Job's status when it has seen a failure; while there is no pod it writes nothing else.
    fields = run.driver["metadata"].get("managedFields", ())
    times += [seconds(field["time"]) for field in fields if field.get("subresource") == "status" and "time" in field]
    return max(times, default=objects.now)
