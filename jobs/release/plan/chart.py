"""A chart rendered with values by `helm template`: the objects of the release that it would install."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

import jobs
from jobs.errors import InputError, nearest
from jobs.formatting import one_line
from jobs.options import PLACEMENT_OPTIONS
from jobs.release.api.objects import COMPONENT, RUN_URL, WORKERS, Object, annotation, label, name
from jobs.release.plan.capacity import DISK, PodRequest, Resources, requests

RELEASE = "release"
"""The name under which a chart is rendered: `dask-jobs plan` has none."""
RENDER_SECONDS = 60.0
OWN_RESOURCES = frozenset({"cpu", "memory", "pods", DISK})
"""Kubernetes' own resources; any other resource of a worker is a device."""
HELP_OF_HELM = re.compile(r"execution error at \(\S+\): |Use --debug flag to render out invalid YAML")


def chart_of(job: str, known: Sequence[str]) -> str:
    """Return the chart of a job: charts/JOB of the current folder, else of the checkout that this package runs from.

    Args:
        job: a job's name; or a chart as helm takes it, a path or a URL, which is returned as it is.
        known: the names of all jobs.

    Raises:
        InputError: there is no such job, or its chart is not here.
    """
    if "/" in job:
        return job
    if job not in known:
        raise InputError(f"{job!r} is no job{nearest(job, known)} (jobs: {', '.join(known)})")
    checkout = Path(jobs.__file__).parents[1]
    for folder in (Path("charts", job), checkout / "charts" / job):
        if (folder / "Chart.yaml").is_file():
            return str(folder.absolute())
    raise InputError(
        f"the chart charts/{job} is not here: give this command in a checkout of dask-jobs, or the chart's path in "
        f"place of {job!r}"
    )


def helm_arguments(
    files: Sequence[str], sets: Sequence[str], set_strings: Sequence[str], set_files: Sequence[str]
) -> list[str]:
    """Return helm's arguments for the values of the command line; the order of the kinds has no effect."""
    given = {"-f": files, "--set": sets, "--set-string": set_strings, "--set-file": set_files}
    return [argument for option, values in given.items() for value in values for argument in (option, value)]


def render(chart: str, values: Sequence[str]) -> Rendered:
    """Return the release that `helm template` makes of a chart.

    Args:
        chart: the chart as helm takes it.
        values: helm's arguments that give values, as of `helm_arguments`.

    Raises:
        InputError: helm is missing or refuses the values, with its error on one line; or the chart is not dask-jobs'.
    """
    helm = shutil.which("helm")
    if helm is None:
        raise InputError("plan needs helm on the PATH: install Helm 3.18 or later (https://helm.sh/docs/intro/install)")
    command = [helm, "template", RELEASE, chart, "--skip-tests", *values]
    try:
        done = subprocess.run(  # noqa: S603  no shell: each value is one argument
            command, capture_output=True, text=True, errors="backslashreplace", timeout=RENDER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"helm template {chart} did not end within {RENDER_SECONDS:g} s") from None
    if done.returncode:
        raise InputError(f"helm: {_complaint(done.stderr)}")
    rendered = Rendered(tuple(one for one in yaml.safe_load_all(done.stdout) if one))
    rendered.check(chart)
    return rendered


def _complaint(text: str) -> str:
    """Return helm's error on one line; before it helm may write warnings, such as of symbolic links."""
    *_, complaint = text.rpartition("Error: ") if text.startswith("Error: ") else text.rpartition("\nError: ")
    return one_line(HELP_OF_HELM.sub("", complaint))


@dataclass(frozen=True)
class Rendered:
    """The objects of a release that is not installed.

    Args:
        objects: as helm renders them.
    """

    objects: tuple[Object, ...]

    def check(self, chart: str) -> None:
        """Refuse what is not a release of dask-jobs.

        Raises:
            InputError: no Job of the driver or the workers is there.
        """
        if not all(any(label(job, COMPONENT) == role for job in self._of("Job")) for role in ("driver", "worker")):
            raise InputError(f"{chart} is not a chart of dask-jobs: it makes no Jobs of a driver and its workers")

    @cached_property
    def driver(self) -> Object:
        """The driver's Job."""
        return self._job("driver")

    @cached_property
    def workers(self) -> Object:
        """The workers' Job."""
        return self._job("worker")

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options in the driver's file, with the `job`'s name, without those that the chart sets."""
        options = yaml.safe_load(self._data("job")["job.yaml"])
        return {key: value for key, value in options.items() if key not in PLACEMENT_OPTIONS}

    @cached_property
    def code(self) -> dict[str, str]:
        """File name -> text of the modules and files that come with the release, in /code of each pod."""
        return self._data("code")

    @property
    def least(self) -> int:
        """Workers with which the job starts."""
        return int(annotation(self.driver, WORKERS))

    @property
    def threads(self) -> int:
        """Compute threads of each worker."""
        (worker,) = _pod(self.workers)["containers"]
        return int(worker["args"][worker["args"].index("--threads") + 1])

    def pods(self, role: str, job: Object) -> PodRequest:
        """Return the requests of a Job's pods, named by their role."""
        pod = _pod(job)
        return PodRequest(
            role, job["spec"]["parallelism"], requests(pod), pod.get("nodeSelector", {}), pod.get("tolerations", ())
        )

    def container(self, called: str) -> Resources:
        """Return the requests of a container of the driver's pod."""
        pod = _pod(self.driver)
        return requests(
            {"containers": [one for one in (*pod["initContainers"], *pod["containers"]) if one["name"] == called]}
        )

    def run_folder(self) -> str:
        """Return the path or URL of the run folder."""
        # The folder's name begins with the release's, which is unknown yet, and ends with a hash of the values.
        url = re.sub(rf"/{RELEASE}-[0-9a-f]{{8}}$", "/RELEASE-HASH", annotation(self.driver, RUN_URL))
        claim = _volume(self.driver, "run").get("persistentVolumeClaim", {}).get("claimName")
        if "://" in url:
            return url
        if claim is None:
            return "scratch space, lost with the driver's pod (run.s3 or run.claim keep it)"
        for made in self._of("PersistentVolumeClaim"):
            if name(made) == claim:
                return f"{url} on a new claim of {made['spec']['resources']['requests']['storage']}"
        return f"{url} on claim {claim}"

    def _job(self, role: str) -> Object:
        return next(job for job in self._of("Job") if label(job, COMPONENT) == role)

    def _of(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] == kind]

    def _data(self, volume: str) -> dict[str, str]:
        """Return the content of the ConfigMap behind a volume of the driver's pod; empty if it has no such volume."""
        called = _volume(self.driver, volume).get("configMap", {}).get("name")
        return next((dict(one["data"]) for one in self._of("ConfigMap") if name(one) == called), {})


def gpu_resource(each: Resources) -> str:
    """Return the resource name of the GPUs that a pod requests; empty if it requests none."""
    return next((resource for resource in each if resource not in OWN_RESOURCES), "")


def _pod(job: Object) -> Object:
    return dict(job["spec"]["template"]["spec"])


def _volume(job: Object, called: str) -> Object:
    return next((dict(volume) for volume in _pod(job).get("volumes", ()) if volume["name"] == called), {})
