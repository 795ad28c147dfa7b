"""A finding: a problem of a release, with role, cause and remedy."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.release.api.objects import Object, Objects, name


@dataclass(frozen=True)
class Finding:
    """One problem that holds a release up, or failed in it."""

    kind: str
    where: str
    cause: str
    remedy: str
    active: bool = True
    """Whether it holds the release up now; otherwise it was overcome, or the release ended by it."""
    count: int = 1
    """Number of pods with it."""
    log: str = ""
    """The last lines of the container's log."""

    @property
    def role(self) -> str:
        """The role of its pods: driver or worker."""
        return self.where.partition(" ")[0]


def oom(role: str, called: str, objects: Objects, where: str) -> tuple[str, str]:
    """Return cause and remedy for a container that exceeded its memory limit."""
    value = "driver.scheduler.memory" if called == "scheduler" else f"{role_values(role)}.memory"
    pod = next((pod for pod in objects.pods if name(pod) == where.rpartition(" ")[2]), None)
    limit = memory_limit(pod, called) if pod else ""
    used = f"container {called} used more memory than its limit{f' of {limit}' if limit else ''} and was killed"
    more = ", or use more workers, so that each holds less" if role == "worker" else ""
    return f"{used} (OOMKilled)", f"raise {value}{more}"


def memory_limit(pod: Object, called: str) -> str:
    """Return a container's memory limit as Kubernetes writes it; empty if it has none."""
    spec = pod["spec"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        if container["name"] == called:
            return str(container.get("resources", {}).get("limits", {}).get("memory", ""))
    return ""


def role_values(role: str) -> str:
    """Return the key of a role in values.yaml."""
    return "workers" if role == "worker" else role
