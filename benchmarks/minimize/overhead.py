"""What an evaluation costs beyond the computation: evaluations of a problem that computes nothing."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from distributed import Client

from benchmarks.processes import ROOT, environment, wait_until_quiet
from benchmarks.report import Table, Target, spread
from benchmarks.workload import plain
from benchmarks.workload.data import theta
from benchmarks.workload.nothing import Actor, Nothing, task
from jobs import connect
from jobs.minimize import Objective

PARAMETERS = 7_850
PROCESSES = 4
"""Up to so many workers are processes; more would only fight for the cores."""
CHUNK, CHUNK_SECONDS = 25, 1.0
"""Evaluations in one turn, and seconds after which it ends earlier."""
TEXT = f"""\
Milliseconds from theta to loss and gradient, {PARAMETERS:,} float64 each, of a problem that returns at once. Up to
{PROCESSES} workers are processes; more are threads of one other process, on their own connections, so that their times
include what that one process needs to be all of them. Ours and its peers take turns of {CHUNK} evaluations on the same
workers: ours with `--evaluator futures`, tasks through the scheduler (submitted to each worker, gathered), and an actor
on each worker."""
PEERS = ("futures", "tasks", "actors")

Evaluate = Callable[[np.ndarray], object]


def run(counts: Sequence[int], evaluations: int, patience: float) -> Table:
    """Measure at each number of workers, about `evaluations` evaluations each; `patience` as in `take_turns`."""
    rows, targets = [], []
    for workers in counts:
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(_client(workers))
            problem = Nothing(workers, PARAMETERS)
            objective = stack.enter_context(Objective(client, problem))
            futures = stack.enter_context(Objective(client, problem, evaluator="futures"))
            contenders = {"ours": objective, "futures": futures, **_peers(client)}
            times = _turns(contenders, max(1, evaluations // CHUNK), patience)
        row, target = _row(workers, times)
        rows.append(row)
        targets += [target] if workers == 2 else []
    header = ("workers", "ours ms", "ours p90", *(cell for peer in PEERS for cell in (f"{peer} ms", f"{peer} / ours")))
    return Table("Overhead of an evaluation", TEXT, header, rows, targets)


@contextlib.contextmanager
def _client(workers: int) -> Iterator[Client]:
    if workers <= PROCESSES:
        with connect(workers=workers) as client:
            yield client
        return
    command = [sys.executable, "-m", "benchmarks.minimize.thread_workers", str(workers)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
    ) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        try:
            with connect(address, workers=workers) as client:
                yield client
        finally:
            process.communicate(timeout=60)


def _peers(client: Client) -> dict[str, Evaluate]:
    addresses = list(client.scheduler_info(n_workers=-1)["workers"])
    submitted = [client.submit(Actor, actor=True, workers=[address], pure=False) for address in addresses]
    actors = [future.result() for future in submitted]

    def by_tasks(point: np.ndarray) -> object:
        return plain.add(
            client.gather([client.submit(task, point, workers=[address], pure=False) for address in addresses])
        )

    def by_actors(point: np.ndarray) -> object:
        calls = [actor.value_and_grad(point) for actor in actors]
        return plain.add(call.result() for call in calls)

    return {"tasks": by_tasks, "actors": by_actors}


def _turns(contenders: dict[str, Evaluate], rounds: int, patience: float) -> dict[str, list[list[float]]]:
    """Return for each contender and round the seconds of its evaluations; the first round warms up and is left out."""
    times: dict[str, list[list[float]]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        wait_until_quiet(patience)
        for name, evaluate in contenders.items():
            seconds = _chunk(evaluate, turn)
            if turn:
                times[name].append(seconds)
    return times


def _chunk(evaluate: Evaluate, turn: int) -> list[float]:
    seconds: list[float] = []
    while len(seconds) < CHUNK and sum(seconds) < CHUNK_SECONDS:
        point = theta(turn * CHUNK + len(seconds), PARAMETERS)
        began = time.perf_counter()
        evaluate(point)
        seconds.append(time.perf_counter() - began)
    return seconds


def _row(workers: int, times: dict[str, list[list[float]]]) -> tuple[list[str], Target]:
    """Return the table's row, and the target for two workers."""
    medians = {name: [statistics.median(turn) for turn in turns] for name, turns in times.items()}
    ours = [1e3 * seconds for turn in times["ours"] for seconds in turn]
    cells = [f"{workers} {'processes' if workers <= PROCESSES else 'threads'}", f"{statistics.median(ours):.2f}"]
    cells.append(f"{np.percentile(ours, 90):.2f}")
    for peer in PEERS:
        ratios = [theirs / mine for theirs, mine in zip(medians[peer], medians["ours"], strict=True)]
        cells += [f"{1e3 * statistics.median(medians[peer]):.2f}", spread(ratios, 1)]
    measured = spread([1e3 * median for median in medians["ours"]])
    met = 1e3 * statistics.median(medians["ours"]) <= 3  # the figure that is shown
    return cells, Target(f"overhead at {workers} workers: median at most 3 ms", f"{measured} ms", met)
