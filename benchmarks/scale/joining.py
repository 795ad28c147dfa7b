"""What joining workers cost an evaluation of those that are there."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from benchmarks.report import Table
from benchmarks.scale.cluster import simulated
from benchmarks.workload.nothing import Nothing
from jobs.cluster.plugin import call
from jobs.minimize import Objective
from jobs.minimize.evaluate.by_messages.worker import ShardPlugin

BASE = 2
TEXT = """\
Two workers are there, and others join: seconds until all are members (the simulated ones share a core), the driver's
CPU for each, and how long what an evaluation does before it computes takes meanwhile: looking for members, dividing
the blocks, and a message to each of the two and back. A share of the blocks would be the new workers' to sum, who are
busy with joining here; so none are summed."""


def run(counts: Sequence[int]) -> Table:
    """Measure with so many that join."""
    rows = []
    for workers in counts:
        seconds, driver, taken = _join(workers)
        milliseconds = [1e3 * one for one in taken]
        cells = (f"{statistics.median(milliseconds):.1f}", f"{max(milliseconds):.0f}")
        rows.append((f"{workers:,}", f"{seconds:.1f}", f"{1e3 * driver / workers:.1f}", *cells))
    return Table("Workers that join", TEXT, ("join", "s", "driver ms a worker", "median ms", "longest ms"), rows)


def _join(workers: int) -> tuple[float, float, list[float]]:
    with simulated(BASE) as (cluster, client), Objective(client, Nothing(BASE, 10)) as objective:
        evaluator = objective.sum
        first = list(evaluator._membership.members)  # noqa: SLF001  what an evaluation does, without its sums

        async def begin() -> None:
            await evaluator._share()  # noqa: SLF001
            await asyncio.gather(*(call(client.rpc, evaluator._key, one, ShardPlugin.ping) for one in first))  # noqa: SLF001

        taken, began, driver = [], time.perf_counter(), time.process_time()
        cluster.add(workers, wait=False)
        while len(evaluator._membership.members) < BASE + workers:  # noqa: SLF001
            start = time.perf_counter()
            client.sync(begin)
            taken.append(time.perf_counter() - start)
            time.sleep(0.02)
        return time.perf_counter() - began, time.process_time() - driver, taken
