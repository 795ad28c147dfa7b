"""Watching a test's namespace: pods, logs and events of its releases, and the commands that a person would type."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from api import Api
from release import CommandError, Kubectl, driver_job, wait_for, wait_until

SLOW = (Path(__file__).parent / "slow.py").read_text()
COMMAND = "import sys; from jobs.cli import main; sys.exit(main())"
ALIVE = ("Pending", "Running")


def slow_values(problem: str = "Slow", cpu: str = "100m", **environment: str) -> dict[str, Any]:
    """Return values for a job of slow.py; SLOW_SECONDS is how long each of its 8 blocks takes."""
    env = [{"name": name, "value": value} for name, value in environment.items()]
    return {
        "code": {"slow.py": SLOW},
        "job": {"problem": f"slow:{problem}"},
        "workers": {"cpu": cpu, "env": env},
        "driver": {"cpu": cpu},
    }


@dataclass(frozen=True)
class Watched:
    """A namespace with releases in it; `install` makes them, see the fixture of that name.

    `home` is the folder in which a person types: what `wait` brings comes there.
    """

    api: Api
    kubectl: Kubectl
    install: Callable[..., str]
    image: str
    home: Path

    def pods(self, release: str, role: str, phases: tuple[str, ...] = ("Running",)) -> list[str]:
        """Return the names of a role's pods in these phases, those that are being deleted left out."""
        found = self.api.pods(instance=release, component=role)
        return [
            pod["metadata"]["name"]
            for pod in found
            if pod["status"].get("phase") in phases and "deletionTimestamp" not in pod["metadata"]
        ]

    def logs(self, release: str, role: str) -> str:
        """Return what all pods of a role that are still there have written."""
        container = "worker" if role == "worker" else "driver"
        found = self.api.pods(instance=release, component=role)
        names = [pod["metadata"]["name"] for pod in found]
        return "".join(self.api.log(name, container) for name in names)

    def events(self, release: str, event: str, role: str = "driver") -> list[dict[str, Any]]:
        """Return a role's JSON log lines of one kind."""
        lines = [json.loads(line) for line in self.logs(release, role).splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def until_event(self, release: str, event: str, role: str = "driver", count: int = 1) -> None:
        """Wait until a role has written that many lines of a kind."""
        wait_until(f"{count} x {event} of {release}", lambda: len(self.events(release, event, role)) >= count)

    def until_pods_run(self, release: str, count: int) -> None:
        """Wait until that many pods of a release run."""
        both = ("driver", "worker")
        wait_until("pods run", lambda: sum(len(self.pods(release, role)) for role in both) >= count)

    def exit_code(self, release: str, timeout: float = 400) -> int:
        """Return the driver's exit code once its Job has ended."""
        return wait_for(self.api, release, timeout)

    def no_pods_in(self, seconds: float) -> None:
        """Check that no pod runs or waits any more after at most so many seconds."""
        wait_until("no pod is left", lambda: not self._alive(), seconds)

    def _alive(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.api.pods() if pod["status"].get("phase") in ALIVE]

    def nothing_in(self, seconds: float) -> None:
        """Check that no object of any release is there after at most so many seconds."""
        kinds = "jobs,pods,services,configmaps,secrets,networkpolicies,poddisruptionbudgets,serviceaccounts,pvc"
        get = partial(self.kubectl, "get", kinds, "-l", "app.kubernetes.io/part-of=dask-jobs", "-o", "name")
        wait_until("nothing is left", lambda: not get().strip(), seconds)

    def jobs(self, release: str) -> set[tuple[str, str, int]]:
        """Return name, uid and generation of a release's Jobs: equal if nothing was changed."""
        kinds = [self.api.jobs(instance=release, component=role) for role in ("driver", "worker")]
        found = [job["metadata"] for jobs in kinds for job in jobs]
        return {(job["name"], job["uid"], job["generation"]) for job in found}

    def scale(self, release: str, count: int) -> None:
        """Give the worker Job another size, as an elastic Indexed Job takes it."""
        job = self.api.jobs(instance=release, component="worker")[-1]["metadata"]["name"]
        patch = json.dumps({"spec": {"parallelism": count, "completions": count}})
        self.kubectl("patch", "job", job, "--type=merge", "-p", patch)

    def driver_address(self, release: str) -> str:
        """Return the IP address of the driver's pod."""
        job = driver_job(self.api, release)["metadata"]["name"]
        return self.kubectl("get", "pods", "-l", f"job-name={job}", "-o", "jsonpath={.items[0].status.podIP}")

    def tell(self, *words: str) -> tuple[int, str]:
        """Run `dask-jobs WORDS -n NAMESPACE` and return its exit code and what it printed."""
        line = [sys.executable, "-c", COMMAND, *words, "-n", self.api.namespace]
        done = subprocess.run(line, cwd=self.home, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr

    def until_status(self, release: str, text: str, seconds: float) -> None:
        """Wait until `dask-jobs status` says a text."""
        wait_until(f"status says {text!r}", lambda: text in self.tell("status", release)[1], seconds, 2.0)

    def stranger(self, label: str) -> str:
        """Start a pod of no release with the label role=LABEL and return its name."""
        security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        container = {"name": "python", "image": self.image, "args": ["sleep", "600"], "securityContext": security}
        spec = {
            "containers": [container],
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": label, "labels": {"role": label}}, "spec": spec}
        self.kubectl("apply", "-f", "-", input=json.dumps(pod))
        self.kubectl("wait", f"pod/{label}", "--for=condition=Ready", "--timeout=300s", timeout=310)
        return label

    def python(self, pod: str, code: str, *arguments: str) -> int:
        """Run Python in a pod and return the exit code."""
        try:
            self.kubectl("exec", pod, "--", "python", "-c", code, *arguments)
        except CommandError as error:
            return error.returncode
        return 0
