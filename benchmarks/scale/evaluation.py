"""What an evaluation costs the driver and the scheduler, by the number of workers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from distributed import Client

from benchmarks.report import Table, Target, spread
from benchmarks.scale.cluster import Simulated, simulated
from benchmarks.workload import plain
from benchmarks.workload.data import theta
from benchmarks.workload.nothing import Nothing, task
from jobs.minimize import Objective

PARAMETERS, WARM = 7_850, 2
LIMITS = {2: 3.0, 1_000: 15.0}
"""Workers -> milliseconds of the driver's CPU that an evaluation may take."""
TEXT = f"""\
An evaluation of a problem that returns at once, {PARAMETERS:,} float64 of theta and gradient: milliseconds that the
driver and the scheduler compute for it (CPU time of their processes, heartbeats and lists of workers included), and the
messages that the driver sends. The workers are simulated: on this machine they take turns, so an evaluation takes far
longer than on as many machines, and more lists of workers fall into it. The peer is a Dask task on each worker,
submitted and gathered."""


def run(counts: Sequence[int], evaluations: int, tasks: int) -> Table:
    """Measure at each number of workers, by so many evaluations, and by so many of the peer's."""
    rows, targets = [], []
    for workers in counts:
        with (
            simulated(workers) as (cluster, client),
            Objective(client, Nothing(workers, PARAMETERS)) as objective,
        ):
            objective(objective.x0())  # the first one, which loads, has the flattest tree
            timings = objective.sum.timings
            evaluated, bytes_sent = timings.evaluations, timings.bytes_sent
            ours = _measured(cluster, objective, evaluations)
            sent = (timings.bytes_sent - bytes_sent) / (timings.evaluations - evaluated) / (8 * PARAMETERS)
            theirs = _measured(cluster, _by_tasks(client), tasks)
        ratios = [other / statistics.median(ours[0]) for other in theirs[0]]
        rows.append(
            (
                f"{workers:,}",
                f"{sent:.1f}",
                spread(ours[0], 1),
                f"{ours[1]:.1f}",
                spread(theirs[0], 1),
                f"{theirs[1]:.1f}",
                spread(ratios, 1),
            )
        )
        if workers in LIMITS:
            wanted = f"driver's CPU of an empty evaluation, {workers:,} workers: at most {LIMITS[workers]:g} ms"
            met = statistics.median(ours[0]) <= LIMITS[workers]
            targets.append(Target(wanted, f"{spread(ours[0], 1)} ms", met))
    header = (
        "workers",
        "messages",
        "driver ms",
        "scheduler ms",
        "tasks: driver ms",
        "scheduler ms",
        "driver, times ours",
    )
    return Table("An evaluation", TEXT, header, rows, targets)


def _by_tasks(client: Client) -> Callable[[np.ndarray], object]:
    addresses = list(client.scheduler_info(n_workers=-1)["workers"])

    def evaluate(point: np.ndarray) -> object:
        submitted = [client.submit(task, point, workers=[address], pure=False) for address in addresses]
        return plain.add(client.gather(submitted))

    return evaluate


def _measured(cluster: Simulated, evaluate: Callable[[np.ndarray], object], count: int) -> tuple[list[float], float]:
    """Return milliseconds of this process for each evaluation after WARM others, and the scheduler's on average."""
    for number in range(WARM):
        evaluate(theta(number, PARAMETERS))
    mine, scheduler = [], cluster.scheduler_seconds
    for number in range(count):
        point = theta(WARM + number, PARAMETERS)
        began = time.process_time()
        evaluate(point)
        mine.append(1e3 * (time.process_time() - began))
    return mine, 1e3 * (cluster.scheduler_seconds - scheduler) / count
