"""Milliseconds for one loss and gradient of softmax regression: ours beside what others do with the same data."""

from __future__ import annotations

from statistics import median

from benchmarks.minimize.rounds import Peer, Rounds, take_turns
from benchmarks.report import Table, Target, spread
from benchmarks.workload.data import Generated

OURS = "ours: Objective, 2 workers"
LIMIT = "compute limit: half of the rows, 1 core, plain NumPy"
KERNEL = "half of the rows, 1 core, our kernel in blocks"
THREADS = "1 NumPy process, 2 BLAS threads"
DASK_ACTORS = "2 Dask actors, plain NumPy"
RAY_ACTORS = "2 Ray actors, 1 a core, plain NumPy"
DASK_CLASSIC = "Dask, classic structure"
RAY_CLASSIC = "Ray, classic structure"
SELDOM = 3
"""The slow ones take part in each so manieth round."""
TEXT = """\
{data.rows:,} x {data.features} rows, {data.classes} classes, {dtype}. All compute the same loss and gradient (checked),
each in processes of its own, which are stopped (SIGSTOP) while others take their turn; Ray is started and ended in its
turn. The classic structure has a loss task and a gradient task for each batch of 100 rows, which the workers or the
object store hold; loss and gradient are summed on the driver. {result.disturbed} of {result.turns} turns began while
other programs used the machine."""


def run(data: Generated, dtype: str, *, ray: str | None, rounds: int, seconds: float, patience: float) -> Table:
    """Measure all, in `dtype`; the classic structure in float64 only.

    Args:
        data: the rows.
        dtype: 'float64' or 'float32'.
        ray: the interpreter that has Ray; None leaves Ray out.
        rounds: how many turns each gets.
        seconds: about how long a turn is.
        patience: seconds that a turn waits for the machine to be quiet.
    """
    peers = [
        Peer(OURS, "ours"),
        Peer(LIMIT, "one_process", share=0.5),
        Peer(KERNEL, "our_kernel", share=0.5),
        Peer(THREADS, "one_process", threads=2),
        Peer(DASK_ACTORS, "dask_actors"),
        *([Peer(RAY_ACTORS, "ray_actors", python=ray, every=SELDOM)] if ray else []),
        *([Peer(DASK_CLASSIC, "dask_classic", every=SELDOM)] if dtype == "float64" else []),
        *([Peer(RAY_CLASSIC, "ray_classic", python=ray, every=SELDOM)] if ray and dtype == "float64" else []),
    ]
    result = take_turns(peers, data, dtype, rounds=rounds, seconds=seconds, patience=patience)
    rows = [
        (name, spread([1e3 * time for time in medians.values()], 1), spread(result.ratios(name, OURS)))
        for name, medians in result.medians.items()
    ]
    return Table(
        f"Loss and gradient, {dtype}",
        TEXT.format(data=data, dtype=dtype, result=result),
        ("", "ms per evaluation", "times ours"),
        rows,
        _targets(result, dtype),
    )


def _targets(result: Rounds, dtype: str) -> list[Target]:
    slower = result.ratios(OURS, LIMIT)
    targets = [Target(f"{dtype}: at most 1.25 x the compute limit", spread(slower), median(slower) <= 1.25)]
    for name, wanted in {RAY_ACTORS: 1, RAY_CLASSIC: 40, DASK_CLASSIC: 40}.items():
        if name in result.medians:
            faster = result.ratios(name, OURS)
            what = f"{dtype}: {'faster than' if wanted == 1 else f'at least {wanted} x faster than'} {name}"
            targets.append(Target(what, spread(faster), median(faster) >= wanted))
    return targets
