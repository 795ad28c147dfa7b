"""`dask-jobs plan`: what a release would ask for, before it is installed."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jobs.errors import InputError, JobError, nearest
from jobs.minimize.job import problem_of
from jobs.minimize.options import Options
from jobs.minimize.plan import by_tree
from jobs.minimize.problem import Made, block_rows
from jobs.minimize.summary import bytes_text
from jobs.options import validated
from jobs.release.room import Amounts, Need, free_nodes, place, quantity
from jobs.release.values import Values
from jobs.release.values_given import values_given
from jobs.release.values_parts import Placement

JOBS = ("minimize",)


@dataclass(frozen=True)
class Plan:
    """What a release asks for."""

    driver: Need
    workers: Need
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
        threads=workers.threads or max(1, math.floor(each["cpu"])),
        gpu=workers.gpuResource,
    )


def _need(role: str, count: int, each: Amounts, placement: Placement) -> Need:
    tolerations = [toleration.model_dump(exclude_none=True) for toleration in placement.tolerations]
    return Need(role, count, each, placement.nodeSelector, tolerations)


def show_plan(options: argparse.Namespace) -> None:
    """Print the plan that the command line asks for.

    Raises:
        InputError: there is no such job, or a value is wrong.
    """
    if options.job not in JOBS:
        raise InputError(f"{options.job!r} is no job{nearest(options.job, JOBS)} (jobs: {', '.join(JOBS)})")
    values = values_given(options.values, options.set, options.set_file)
    plan = plan_of(values)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((options.job, "bold"), f": {headline(plan)}"))
    for name, text in [*resource_rows(values, plan), *problem_rows(values, plan), ("cluster", _room(options, plan))]:
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


def problem_rows(values: Values, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield how large the problem is and how many bytes an evaluation moves, as (name, text); or why that is not known.

    Raises:
        InputError: an option in `job` is wrong.
    """
    try:
        options = validated(Options, values.job)
    except InputError as error:
        raise InputError(f"job: {error}") from None
    try:
        with _code(values):
            made = problem_of(options)
    except JobError as error:
        yield "problem", f"not known here, so neither are an evaluation's bytes: {error}"
        return
    blocks = -(-made.problem.rows // block_rows(made.problem))
    yield "problem", f"{made.x0.size:,} parameters, {made.problem.rows:,} rows in {blocks:,} blocks"
    if blocks < plan.workers.count * plan.threads:
        yield "", f"fewer blocks than threads ({plan.workers.count * plan.threads}): some workers will have no work"
    yield "evaluation", evaluation(made, plan.workers.count)


def evaluation(made: Made, workers: int) -> str:
    """Return how many bytes one evaluation moves: for each worker 8 a parameter, and 8 for the loss, each way."""
    one = 8 * (made.x0.size + 1)
    way = "through a tree of the workers" if by_tree(workers, one) else "straight to the driver"
    return (
        f"{bytes_text(workers * one)} each way ({bytes_text(one)} for each of {workers} workers); sums come back {way}"
    )


@contextlib.contextmanager
def _code(values: Values) -> Iterator[None]:
    """Let the modules in `code`, and those of the current folder, be imported."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in values.code.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        before = list(sys.path)
        sys.path[:0] = [folder, os.getcwd()]  # noqa: PTH109
        try:
            yield
        finally:
            sys.path[:] = before


def _room(options: argparse.Namespace, plan: Plan) -> str:
    """Return whether the cluster has room now, or why that cannot be said."""
    from jobs.release.arguments import cluster_of

    try:
        cluster = cluster_of(options)
        nodes = free_nodes(cluster.nodes(), cluster.all_pods())
    except JobError as error:
        return f"not compared: {error}"
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
