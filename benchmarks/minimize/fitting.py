"""From files to a fitted logistic model, beside scikit-learn: seconds, and the memory of all processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import ROOT, environment
from benchmarks.report import Table, Target, spread

FEATURES, CHUNK = 50, 100_000
PEERS = {"ours": "ours, 2 workers", "scikit_learn": "scikit-learn, one process"}
TEXT = """\
`LogisticRegression` of scikit-learn and our `logistic` on the same .npy files, l2 = 1, in turns: from the files to the
model, and the largest memory of all processes, driver and scheduler included. Both losses agree to 1e-6."""


def run(rows: int, repeats: int) -> Table:
    """Measure so many rows, each peer `repeats` times."""
    measured: dict[str, list[Any]] = {peer: [] for peer in PEERS}
    with tempfile.TemporaryDirectory(dir=ROOT / "build" if (ROOT / "build").is_dir() else None) as name:
        folder = Path(name)
        _write(folder, rows)
        for _ in range(repeats):
            for peer, some in measured.items():
                some.append(_fit(peer, folder))
    losses = [one["loss"] for some in measured.values() for one in some]
    if max(losses) - min(losses) > 1e-6 * min(losses):
        raise AssertionError(f"not the same optimum: losses {losses}")
    cells = {
        peer: [[one[figure] for one in some] for figure in ("seconds", "megabytes")] for peer, some in measured.items()
    }
    lines = [(PEERS[peer], spread(seconds, 2), spread(memory, 0)) for peer, (seconds, memory) in cells.items()]
    ratios = [theirs / our for our, theirs in zip(cells["ours"][0], cells["scikit_learn"][0], strict=True)]
    wanted = f"{rows:,} x {FEATURES} rows to a logistic model: at least as fast as scikit-learn"
    target = Target(wanted, f"{spread(ratios, 2)} x", min(ratios) >= 1)
    return Table(f"A logistic model of {rows:,} x {FEATURES} rows", TEXT, ("", "seconds", "MB"), lines, [target])


def _write(folder: Path, rows: int) -> None:
    """Write x.npy and y.npy, a chunk at a time: all rows at once need not fit the memory."""
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float64, (rows, FEATURES))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.int64, (rows,))
    weights = np.random.default_rng(1).normal(size=FEATURES) / FEATURES**0.5
    for start in range(0, rows, CHUNK):
        numbers = np.random.default_rng([2, start])
        some = numbers.normal(size=(min(CHUNK, rows - start), FEATURES))
        x[start : start + CHUNK] = some
        y[start : start + CHUNK] = some @ weights + numbers.logistic(size=len(some)) > 0


def _fit(peer: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.minimize.peers.logistic", peer, str(folder)]
    alone = {"OMP_NUM_THREADS": "", "OPENBLAS_NUM_THREADS": ""} if peer == "scikit_learn" else {}
    variables = {name: value for name, value in environment(**alone).items() if value}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, env=variables)
    return json.loads(done.stdout.splitlines()[-1])
