"""The memory of workers against their share of the data, and of the driver against the number of rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np

from benchmarks.processes import ROOT, environment
from benchmarks.report import Table, Target, spread
from benchmarks.workload.data import Generated

WORKERS = 2
PEERS = {"ours": "ours", "dask_actors": "2 Dask actors, plain NumPy", "dask_scatter": "driver scatters the rows"}
WORKER_TEXT = """\
The largest resident memory (VmHWM) of either of 2 workers after loading and 3 evaluations, against its share of the
rows in the dtype that they are kept in. A worker that holds nothing has its Python, NumPy, SciPy and Dask."""
DRIVER_TEXT = """\
The largest resident memory (VmHWM) of the driver, the cluster's scheduler included, in a new process for each size.
Rows are made on the workers; the peer's driver reads all rows and scatters them."""
Case = tuple[str, Generated, str]
"""Module, data and dtype."""


def run(data: Generated, dtypes: Sequence[str], sizes: Sequence[int], features: int, repeats: int) -> list[Table]:
    """Measure workers on `data`, and drivers on both `sizes`, numbers of rows, each `repeats` times.

    Time does not matter here, so that two are measured at once.
    """
    workers = [(module, data, dtype) for dtype in dtypes for module in ("ours", "dask_actors")]
    drivers = [(module, Generated(size, features), "float64") for module in ("ours", "dask_scatter") for size in sizes]
    cases = list(dict.fromkeys([*workers, *drivers]))
    with ThreadPoolExecutor(2) as pool:
        measured = list(pool.map(_peaks, repeats * cases))
    peaks = {case: measured[number :: len(cases)] for number, case in enumerate(cases)}
    return [_workers({case: peaks[case] for case in workers}), _driver([(case, peaks[case]) for case in drivers])]


def _workers(peaks: Mapping[Case, Sequence[Any]]) -> Table:
    rows, targets = [], []
    for (module, data, dtype), some in peaks.items():
        share = _megabytes(data, dtype) / WORKERS
        allowed, largest = 1.15 * share + 200, [max(one["workers"]) for one in some]
        rows.append((f"{PEERS[module]}, {dtype}", f"{share:,.0f}", spread(largest, 0), f"{allowed:,.0f}"))
        if module == "ours":
            wanted = f"worker memory, {dtype}: at most 1.15 x its share + 200 MB = {allowed:,.0f} MB"
            targets.append(Target(wanted, f"{spread(largest, 0)} MB", max(largest) <= allowed))
    title = f"Memory of a worker, {data.rows:,} x {data.features} rows"
    return Table(title, WORKER_TEXT, ("", "share MB", "largest MB", "1.15 x share + 200 MB"), rows, targets)


def _driver(peaks: Sequence[tuple[Case, Sequence[Any]]]) -> Table:
    rows, targets = [], []
    for ((module, few, dtype), before), ((_, many, _), after) in zip(peaks[::2], peaks[1::2], strict=True):
        small, large = ([one["driver"] for one in some] for some in (before, after))
        growth = [more - less for less, more in zip(small, large, strict=True)]
        rows.append((PEERS[module], spread(small, 0), spread(large, 0), spread(growth, 1)))
        if module == "ours":
            data = _megabytes(many, dtype) - _megabytes(few, dtype)
            wanted = f"driver memory independent of rows: grows by under 1 % of {data:,.0f} MB more data"
            targets.append(Target(wanted, f"{spread(growth, 1)} MB", median(growth) < 0.01 * data))
    header = ("", f"{few.rows:,} rows, MB", f"{many.rows:,} rows, MB", "growth MB")
    return Table(f"Memory of the driver, {few.features} features, {dtype}", DRIVER_TEXT, header, rows, targets)


def _megabytes(data: Generated, dtype: str) -> float:
    return data.rows * data.features * np.dtype(dtype).itemsize / 1e6


def _peaks(case: Case) -> dict[str, Any]:
    """Return the peaks in MB: driver -> number, workers -> list."""
    module, data, dtype = case
    command = [
        sys.executable,
        "-m",
        "benchmarks.minimize.footprint",
        module,
        str(data.rows),
        str(data.features),
        dtype,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, env=environment())
    return json.loads(done.stdout)
