"""A cluster of recorded objects, for what a real one does not do at a given moment."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from situation import objects

from jobs.errors import JobError
from jobs.release.actions.wait import Wait
from jobs.release.actions.wait_view import WaitView
from jobs.release.api.client import Forbidden
from jobs.release.api.exec import Output
from jobs.release.api.objects import COMPONENT, Object, label

CLAIM = {"name": "run", "persistentVolumeClaim": {"claimName": "runs"}}
HELPER = "helper"


class Fake:
    """Answers as `jobs.release.api.client.Cluster` does, with the objects of a situation.

    Args:
        situation: its name.
        sends: the output of a command that is run in a pod, or the error to which that leads.
        log: the driver's log, in place of the recorded one.
        claim: the run folder lies on a claim.
        pods: the recorded pods are there still.
        annotations: more of them, on the driver's Job.
    """

    def __init__(
        self,
        situation: str,
        *,
        sends: Output | JobError | None = None,
        log: str | None = None,
        claim: bool = False,
        pods: bool = True,
        **annotations: str,
    ) -> None:
        self._objects, self._sends, self._log, self._on_claim = objects(situation), sends, log, claim
        self._annotations = annotations
        self._pods = self._objects.pods if pods else ()
        self.namespace, self.now = self._objects.namespace, self._objects.now
        self.helpers: list[str] = []

    def jobs(self, selector: str) -> tuple[Object, ...]:
        return tuple(self._job(job) if label(job, COMPONENT) == "driver" else job for job in self._objects.jobs)

    def _job(self, job: Object) -> Object:
        changed = copy.deepcopy(dict(job))
        changed["metadata"].setdefault("annotations", {}).update(self._annotations)
        if self._on_claim:
            spec = changed["spec"]["template"]["spec"]
            spec["volumes"] = [CLAIM]
            spec["containers"][0]["volumeMounts"] = [{"name": "run", "mountPath": "/runs"}]
        return changed

    def pods(self, selector: str) -> tuple[Object, ...]:
        return self._pods

    def pod(self, name: str) -> Object | None:
        if name == HELPER:
            running = [{"name": "fetch", "state": {"running": {}}}]
            return {"metadata": {"name": HELPER}, "status": {"phase": "Running", "containerStatuses": running}}
        return next((pod for pod in self._pods if pod["metadata"]["name"] == name), None)

    def create_pod(self, pod: Object) -> str:
        self.helpers.append(HELPER)
        return HELPER

    def delete_pod(self, name: str) -> None:
        self.helpers.remove(name)

    def change_job(self, name: str, change: Object) -> None:
        raise Forbidden("jane may not patch jobs")

    def warnings(self) -> tuple[Object, ...]:
        return self._objects.events

    def creations(self, job: str) -> tuple[Object, ...]:
        return self._objects.creations

    def claim(self, name: str) -> Object | None:
        return None

    def log(self, pod: str, container: str, **options: object) -> str | None:
        return self._objects.logs.get((pod, container)) if self._log is None else self._log

    def follow(self, pod: str, container: str, **options: object) -> Iterator[str]:
        for number, line in enumerate((self.log(pod, container) or "").splitlines()):
            yield f"2026-11-20T14:00:00.{number:09}Z {line}\n"

    def execute(self, pod: str, container: str, command: list[str]) -> Any:
        if isinstance(self._sends, JobError):
            raise self._sends
        assert self._sends is not None
        return self._sends._channels


def waited(cluster: Fake, *, fetch: bool = True) -> int:
    """Run `dask-jobs wait fit` and return its exit code."""
    with WaitView("fit") as view:
        return Wait(cluster, "fit", view, fetch=fetch).run(None)  # type: ignore[arg-type]
