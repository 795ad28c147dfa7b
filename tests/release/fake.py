"""A cluster of recorded objects, for what a real one does not do at a given moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from situation import objects

from jobs.release.exec import Output
from jobs.release.objects import COMPONENT, Object, label


class Fake:
    """Answers as `jobs.release.client.Cluster` does, with the objects of a situation.

    Args:
        situation: its name.
        sends: the output of a command that is run in a pod.
        annotations: more of them, on the driver's Job.
    """

    def __init__(self, situation: str, *, sends: Output | None = None, **annotations: str) -> None:
        self._objects, self._sends = objects(situation), sends
        self._annotations = annotations
        self.namespace, self.now = self._objects.namespace, self._objects.now
        self.executed: list[str] = []

    def jobs(self, selector: str) -> tuple[Object, ...]:
        return tuple(self._noted(job) for job in self._objects.jobs)

    def _noted(self, job: Object) -> Object:
        metadata = job["metadata"]
        if label(job, COMPONENT) != "driver":
            return job
        return {
            **job,
            "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **self._annotations}},
        }

    def pods(self, selector: str) -> tuple[Object, ...]:
        return self._objects.pods

    def pod(self, name: str) -> Object | None:
        return next((pod for pod in self._objects.pods if pod["metadata"]["name"] == name), None)

    def warnings(self) -> tuple[Object, ...]:
        return self._objects.events

    def claim(self, name: str) -> Object | None:
        return None

    def log(self, pod: str, container: str, **options: object) -> str | None:
        return self._objects.logs.get((pod, container))

    def follow(self, pod: str, container: str, **options: object) -> Iterator[str]:
        for number, line in enumerate((self.log(pod, container) or "").splitlines()):
            yield f"2026-11-20T14:00:00.{number:09}Z {line}"

    def execute(self, pod: str, container: str, command: list[str]) -> Any:
        self.executed.append(pod)
        assert self._sends is not None
        return self._sends._channels
