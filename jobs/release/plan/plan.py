"""`dask-jobs plan`: the requests of a release, before it is installed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jobs import registry
from jobs.errors import InputError, JobError
from jobs.formatting import binary_bytes, plural, printable
from jobs.options import validated
from jobs.release.api.client import Cluster
from jobs.release.plan import hidden_modules
from jobs.release.plan.capacity import DISK, PodRequest, Resources, fit, free_nodes
from jobs.release.plan.chart import Rendered, chart_of, gpu_resource, render


@dataclass(frozen=True)
class Plan:
    """The requests of a release."""

    driver: PodRequest
    workers: PodRequest
    least: int
    """Workers with which the job starts."""
    threads: int
    """Compute threads of each worker."""
    gpu: str
    """What the cluster calls a GPU; empty if no worker has one."""

    def total(self, resource: str) -> Decimal:
        """Return the sum of a resource over the requests of all pods."""
        return sum(
            (need.count * need.each.get(resource, Decimal(0)) for need in (self.driver, self.workers)), Decimal(0)
        )


def plan_of(rendered: Rendered) -> Plan:
    """Return the plan of a rendered release, by Kubernetes' requests, not limits."""
    workers = rendered.pods("workers", rendered.workers)
    return Plan(
        driver=rendered.pods("driver", rendered.driver),
        workers=workers,
        least=rendered.least,
        threads=rendered.threads,
        gpu=gpu_resource(workers.each),
    )


def show_plan(job: str, values: Sequence[str], cluster: Callable[[], Cluster]) -> None:
    """Print the requests of a release, and whether a cluster has room for it.

    Args:
        job: the job's name, or its chart as helm takes it.
        values: helm's arguments that give values.
        cluster: returns the cluster; raises a JobError if there is none.

    Raises:
        InputError: there is no such job, helm is not here, or a value is wrong.
    """
    rendered = render(chart_of(job, registry.names()), values)
    plan, name = plan_of(rendered), str(rendered.options["job"])
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((name, "bold"), f": {headline(plan)}"))
    for label, text in (*resource_rows(rendered, plan), *job_rows(rendered, plan), ("cluster", _room(cluster, plan))):
        console.print(Text.assemble((f"{label:<12}", "dim"), printable(text)))


def headline(plan: Plan) -> str:
    """Return the totals in one line."""
    gpus = f", {plan.total(plan.gpu)} {plan.gpu}" if plan.total(plan.gpu) else ", no GPU"
    return f"{plan.total('pods')} pods, {_cores(plan.total('cpu'))}, {_memory(plan.total('memory'))} memory{gpus}"


def resource_rows(rendered: Rendered, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the requests of each pod, and the run folder, as (name, text)."""
    driver, scheduler = (_amounts(rendered.container(container)) for container in ("driver", "scheduler"))
    yield "driver", f"1 pod: {driver}; its scheduler: {scheduler}"
    each = plan.workers.each
    gpus = f", {each[plan.gpu]} {plan.gpu}" if plan.gpu else ""
    threads = plural(plan.threads, "thread")
    start = f"; starts with {plan.least}" if plan.least != plan.workers.count else ""
    yield "workers", f"{plan.workers.count} pods, each: {_amounts(each)}{gpus}, {threads}{start}"
    if plan.threads > each["cpu"]:
        yield "", f"{threads} on {_cores(each['cpu'])}: more is used only while the node has it free"
    disk = (_memory(need.each[DISK]) for need in (plan.driver, plan.workers))
    yield "disk", "{} for the driver's pod, {} for each worker; more as far as a node has it".format(*disk)
    yield "run folder", rendered.run_folder()


def job_rows(rendered: Rendered, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the job's estimate for these resources, as (name, text), as far as it is known here.

    Raises:
        InputError: an option in `job` is wrong, or a file in `code` would hide a module that the pods import.
    """
    hidden_modules.check(rendered.code)
    job = registry.find(rendered.options["job"])
    gpus = float(plan.workers.each.get(plan.gpu, 0))
    with _code(rendered.code) as folder:
        given = {key: folder + value[5:] if _is_code(value) else value for key, value in rendered.options.items()}
        del given["job"]
        try:
            options = validated(job.load_options(), given)
        except InputError as error:
            raise InputError(f"job: {error.command_line_text}") from None
        yield from job.load_estimate()(options, plan.workers.count, plan.threads, gpus)


def _is_code(value: object) -> bool:
    """Return whether an option names a file that comes with the release, in `code`."""
    return isinstance(value, str) and value.startswith("/code/")


@contextlib.contextmanager
def _code(code: Mapping[str, str]) -> Iterator[str]:
    """Put the modules in `code`, and the current folder, on the Python path; yields the folder with `code`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in code.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        before = list(sys.path)
        sys.path[:0] = [folder, os.getcwd()]  # noqa: PTH109
        try:
            yield folder
        finally:
            sys.path[:] = before


def _room(cluster: Callable[[], Cluster], plan: Plan) -> str:
    """Return whether the cluster has room now, or why that is unknown."""
    try:
        found = cluster()
        nodes = free_nodes(found.nodes(), found.all_pods())
    except JobError as error:
        return f"not compared: {error.command_line_text}"
    return verdict(plan, fit((plan.driver, plan.workers), nodes), len(nodes))


def verdict(plan: Plan, placed: dict[str, int], nodes: int) -> str:
    """Return the verdict for the number of pods that fit now."""
    seen = plural(nodes, "node")
    if not placed["driver"]:
        return f"does not fit now: no node has room for the driver's pod ({seen})"
    workers = placed["workers"]
    if workers < plan.least:
        return f"does not fit now: room for {workers} of {plan.least} workers with which it starts ({seen})"
    if workers < plan.workers.count:
        return f"can start now with {workers} of {plan.workers.count} workers; the others wait for room ({seen})"
    return f"fits now ({seen})"


def _amounts(each: Resources) -> str:
    return f"{_cores(each['cpu'])}, {_memory(each['memory'])}"


def _cores(amount: Decimal) -> str:
    return f"{amount.normalize():f} core{'s' * (amount != 1)}"


def _memory(amount: Decimal) -> str:
    return binary_bytes(float(amount))
