"""Renders charts with the real helm, once for each set of values."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHARTS = sorted(path.parents[1].name for path in (ROOT / "charts").glob("*/charts/dask-job"))
CHART = ROOT / "charts/minimize"
Object = dict[str, Any]
CONTAINERS = ("initContainers", "containers")


@dataclass(frozen=True)
class Rendered:
    """What `helm template` wrote."""

    text: str

    @functools.cached_property
    def objects(self) -> list[Object]:
        return [one for one in yaml.safe_load_all(self.text) if one]

    def named(self, kind: str, part: str = "") -> Object:
        """Return the one object of a kind whose name has a part."""
        found = [one for one in self.objects if one["kind"] == kind and part in one["metadata"]["name"]]
        assert len(found) == 1, f"{len(found)} objects {kind} {part}"
        return found[0]

    @property
    def driver(self) -> Object:
        return self.named("Job", "-driver-")

    @property
    def workers(self) -> Object:
        return self.named("Job", "-workers-")

    @property
    def driver_pod(self) -> Object:
        return self.driver["spec"]["template"]

    @property
    def worker_pod(self) -> Object:
        return self.workers["spec"]["template"]

    @property
    def pods(self) -> Iterator[Object]:
        """Yield every pod: those that the Jobs make, and the test's."""
        yield self.driver_pod
        yield self.worker_pod
        yield from (one for one in self.objects if one["kind"] == "Pod")

    @property
    def policy(self) -> Object:
        return self.named("NetworkPolicy")["spec"]

    @property
    def options(self) -> Object:
        """Return what the driver reads."""
        return yaml.safe_load(self.named("ConfigMap", "-job-")["data"]["job.yaml"])

    @property
    def hash(self) -> str:
        return self.driver["metadata"]["labels"]["dask-jobs/run"]

    @property
    def url(self) -> str:
        return self.driver["metadata"]["annotations"]["dask-jobs/run-url"]

    def container(self, name: str) -> Object:
        """Return a container by its name: scheduler, driver, worker or test."""
        return next(one for pod in self.pods for one in containers(pod) if one["name"] == name)

    def env(self, name: str) -> Object:
        """Return a container's environment: variable -> value, or where it comes from."""
        return {one["name"]: one.get("value", one.get("valueFrom")) for one in self.container(name)["env"]}


def containers(pod: Object) -> list[Object]:
    return [one for key in CONTAINERS for one in pod["spec"].get(key, [])]


def nested(path: str, value: Any) -> Object:
    """Return `{"a": {"b": value}}` for "a.b"."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def merged(first: Object, second: Object) -> Object:
    """Return two maps of values as one; where both have a leaf, the second's."""
    both = {
        key: merged(first[key], second[key]) for key in first.keys() & second.keys() if isinstance(first[key], dict)
    }
    return first | second | both


def helm(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm, with values if there are any."""
    given = ["--values", "-"] if values is not None else []
    text = json.dumps(values or {})
    command = ["helm", *arguments, *given]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=240, check=False)


def render(
    values: Object | None = None, release: str = "fit", kubernetes: str = "1.33.0", chart: str = "minimize"
) -> Rendered:
    """Return a chart rendered with values."""
    return Rendered(_render(json.dumps(values or {}, sort_keys=True), release, kubernetes, chart))


@functools.cache
def _render(values: str, release: str, kubernetes: str, chart: str) -> str:
    folder = str(ROOT / "charts" / chart)
    done = helm("template", release, folder, "--kube-version", kubernetes, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(values: Object, release: str = "fit", chart: str = "minimize") -> str:
    """Return what helm says about values that it refuses."""
    done = helm("template", release, str(ROOT / "charts" / chart), values=values)
    assert done.returncode != 0, "helm took the values"
    return done.stderr
