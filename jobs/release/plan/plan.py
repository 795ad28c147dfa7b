"""`dask-jobs plan`: what a release would ask for, before it is installed."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jobs import JOBS
from jobs.errors import InputError, JobError, nearest
from jobs.options import validated
from jobs.release.api.client import Cluster
from jobs.release.plan.capacity import PodRequest, Resources, free_nodes, place, quantity
from jobs.release.plan.values import Values
from jobs.release.plan.values_input import values_given
from jobs.release.plan.values_parts import Placement
from jobs.tune.search.placement import Worker


@dataclass(frozen=True)
class Plan:
    """What a release asks for."""

    driver: PodRequest
    workers: PodRequest
    least: int
    """Workers with which the job starts."""
    threads: int
    """Compute threads of each worker."""
    gpu: str
    """What the cluster calls a GPU."""

    def total(self, resource: str) -> Decimal:
        """Return how much of a resource all pods request together."""
        return sum(
            (need.count * need.each.get(resource, Decimal(0)) for need in (self.driver, self.workers)), Decimal(0)
        )


def plan_of(values: Values) -> Plan:
    """Return what a release of these values asks for; Kubernetes requests, not limits."""
    workers, driver = values.workers, values.driver
    count = workers.max or workers.count
    each = {"cpu": quantity(workers.cpu), "memory": quantity(workers.memory), "pods": Decimal(1)}
    if workers.gpu:
        each[workers.gpuResource] = Decimal(workers.gpu)
    pod = {
        "cpu": quantity(driver.cpu) + quantity(driver.scheduler.cpu),
        "memory": quantity(driver.memory) + quantity(driver.scheduler.memory),
        "pods": Decimal(1),
    }
    return Plan(
        driver=_need("driver", 1, pod, driver),
        workers=_need("workers", count, each, workers),
        least=workers.min or workers.count,
        threads=workers.compute_threads,
        gpu=workers.gpuResource,
    )


def _need(role: str, count: int, each: Resources, placement: Placement) -> PodRequest:
    tolerations = [toleration.model_dump(exclude_none=True) for toleration in placement.tolerations]
    return PodRequest(role, count, each, placement.nodeSelector, tolerations)


def show_plan(
    job: str, files: Sequence[str], sets: Sequence[str], set_files: Sequence[str], cluster: Callable[[], Cluster]
) -> None:
    """Print the plan of a job with the values that helm's options give.

    Raises:
        InputError: there is no such job, or a value is wrong.
    """
    if job not in JOBS:
        raise InputError(f"{job!r} is no job{nearest(job, JOBS)} (jobs: {', '.join(JOBS)})")
    values = values_given(files, sets, set_files)
    plan = plan_of(values)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((job, "bold"), f": {headline(plan)}"))
    rows = [*resource_rows(values, plan), *job_rows(job, values, plan), ("cluster", _room(cluster, plan))]
    for name, text in rows:
        console.print(Text.assemble((f"{name:<12}", "dim"), text))


def headline(plan: Plan) -> str:
    """Return the totals in one line."""
    gpus = f", {plan.total(plan.gpu)} {plan.gpu}" if plan.total(plan.gpu) else ", no GPU"
    return f"{plan.total('pods')} pods, {_cores(plan.total('cpu'))}, {_memory(plan.total('memory'))} memory{gpus}"


def resource_rows(values: Values, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what each pod requests, and where the run folder is, as (name, text)."""
    driver, scheduler = values.driver, values.driver.scheduler
    own = f"{_cores(quantity(driver.cpu))}, {_memory(quantity(driver.memory))}"
    yield (
        "driver",
        f"1 pod: {own}; its scheduler: {_cores(quantity(scheduler.cpu))}, {_memory(quantity(scheduler.memory))}",
    )
    each = plan.workers.each
    gpus = f", {each[plan.gpu]} {plan.gpu}" if plan.gpu in each else ""
    threads = f"{plan.threads} thread{'s' * (plan.threads > 1)}"
    start = f"; starts with {plan.least}" if plan.least != plan.workers.count else ""
    yield (
        "workers",
        f"{plan.workers.count} pods, each: {_cores(each['cpu'])}, {_memory(each['memory'])}{gpus}, {threads}{start}",
    )
    if plan.threads > each["cpu"]:
        yield "", f"{threads} on {_cores(each['cpu'])}: more is used only while the node has it free"
    yield "run folder", _folder(values)


def _folder(values: Values) -> str:
    run, name = values.run, values.run.name or "RELEASE-HASH"
    if run.s3:
        return f"{run.s3.rstrip('/')}/{name}"
    if run.claim.create:
        return f"/runs/{name} on a new claim of {run.claim.size}"
    if run.claim.name:
        return f"/runs/{name} on claim {run.claim.name}"
    return "scratch space, lost with the driver's pod (run.s3 or run.claim keep it)"


def job_rows(job: str, values: Values, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what the job will do with that, as (name, text), as far as it is known here.

    Raises:
        InputError: an option in `job` is wrong.
    """
    each = Worker(plan.threads, float(plan.workers.each.get(plan.gpu, 0)))
    with _code(values) as folder:
        given = {name: folder + value[5:] if _is_code(value) else value for name, value in values.job.items()}
        try:
            options = validated(import_module(f"jobs.{job}.options").Options, given)
        except InputError as error:
            raise InputError(f"job: {error.command_line_text}") from None
        yield from import_module(f"jobs.{job}.estimate").rows(options, plan.workers.count, each)


def _is_code(value: object) -> bool:
    """Return whether an option names a file that comes with the release, in `code`."""
    return isinstance(value, str) and value.startswith("/code/")


@contextlib.contextmanager
def _code(values: Values) -> Iterator[str]:
    """Let the modules in `code`, and those of the current folder, be imported; yields the folder with `code`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in values.code.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        before = list(sys.path)
        sys.path[:0] = [folder, os.getcwd()]  # noqa: PTH109
        try:
            yield folder
        finally:
            sys.path[:] = before


def _room(connect: Callable[[], Cluster], plan: Plan) -> str:
    """Return whether the cluster has room now, or why that cannot be said."""
    try:
        cluster = connect()
        nodes = free_nodes(cluster.nodes(), cluster.all_pods())
    except JobError as error:
        return f"not compared: {error.command_line_text}"
    placed = place((plan.driver, plan.workers), nodes)
    return verdict(plan, placed, len(nodes))


def verdict(plan: Plan, placed: dict[str, int], nodes: int) -> str:
    """Return what follows from how many pods find a place now."""
    if not placed["driver"]:
        return f"does not fit now: no node has room for the driver's pod ({_nodes(nodes)})"
    workers = placed["workers"]
    if workers < plan.least:
        return f"does not fit now: room for {workers} of {plan.least} workers with which it starts ({_nodes(nodes)})"
    if workers < plan.workers.count:
        return (
            f"can start now with {workers} of {plan.workers.count} workers; the others wait for room ({_nodes(nodes)})"
        )
    return f"fits now ({_nodes(nodes)})"


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _cores(amount: Decimal) -> str:
    return f"{amount.normalize():f} core{'s' * (amount != 1)}"


def _memory(amount: Decimal) -> str:
    size = float(amount)
    return f"{size / 2**30:.4g} GiB" if size >= 2**30 else f"{size / 2**20:.4g} MiB"
