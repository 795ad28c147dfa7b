"""The quick runs of `benchmarks.minimize` and `benchmarks.scale`, that peers compute the same, and what they write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from benchmarks.minimize.evaluation import LIMIT, OURS
from benchmarks.minimize.rounds import Peer, take_turns
from benchmarks.workload import plain
from benchmarks.workload.data import Generated, theta
from jobs.minimize import Objective, softmax

ROOT = Path(__file__).parents[1]
TITLES = [
    "Targets",
    "Loss and gradient, float64",
    "Overhead of an evaluation",
    "Memory of a worker, 2,000 x 64 rows",
    "Memory of the driver, 64 features, float64",
    "Softmax kernel",
    "Portable instructions",
    "Journal",
    "A logistic model of 20,000 x 50 rows",
]


def test_quick_run_writes_all_tables(tmp_path: Path):
    """A quick run writes the machine, the targets with a verdict each, and each table with figures in its rows."""
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, "-m", "benchmarks.minimize", "--quick", "--without-ray", "--output", str(output)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=500)
    text = output.read_text()
    sections = dict(section.split("\n", 1) for section in text.split("\n## ")[1:])
    assert list(sections) == TITLES
    assert re.search(r"\d+ cores, \d+ GiB memory", text)
    assert "numpy " + np.__version__ in text
    assert sections["Targets"].count(" met |") + sections["Targets"].count(" missed |") == 8
    for section in sections.values():
        _, rule, *rows = re.findall(r"^\|.*\|$", section, re.MULTILINE)
        assert set(rule) <= set("|-: ")
        assert rows
        assert all(re.search(r"\d", row.split("|")[-2] + row.split("|")[-3]) for row in rows)


def test_quick_run_of_many_workers(tmp_path: Path):
    """The tables of drivers and schedulers, by the number of workers, each with its peer's or what it is made of."""
    output = tmp_path / "SCALE.md"
    command = [sys.executable, "-m", "benchmarks.scale", "--quick", "--output", str(output)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=500)
    sections = dict(section.split("\n", 1) for section in output.read_text().split("\n## ")[1:])
    assert list(sections) == ["Targets", "An evaluation", "A trial", "Workers that join"]
    assert sections["Targets"].count(" met |") + sections["Targets"].count(" missed |") == 1
    nine = next(row for row in sections["An evaluation"].splitlines() if row.startswith("| 9 "))
    assert float(nine.split("|")[2]) < 9  # messages


def test_generated_rows_do_not_depend_on_pieces():
    """Rows read in any pieces are those read at once, so that all who are measured have the same data."""
    data = Generated(rows=1_000, features=8)
    x, y = data.read(0, 1_000)
    pieces = [data.read(start, start + 125) for start in range(0, 1_000, 125)]
    assert (np.concatenate([piece[0] for piece in pieces]) == x).all()
    assert (np.concatenate([piece[1] for piece in pieces]) == y).all()
    assert set(y) == set(range(10))


def test_plain_kernel_is_right():
    """The peers' kernel has the gradient of its loss, and loss and gradient of ours."""
    data = Generated(rows=300, features=8)
    x, y = data.read(0, data.rows)
    point = theta(0, data.size)
    loss, gradient = plain.value_and_grad(x, y, point)
    assert plain.loss(x, y, point) == loss
    assert gradient == pytest.approx(approx_fprime(point, lambda at: plain.loss(x, y, at)), rel=1e-4, abs=1e-4)
    with Objective(None, softmax.problem(data)) as objective:
        assert objective.loss(point) == pytest.approx(loss, rel=1e-12)
        assert objective.grad(point) == pytest.approx(gradient, rel=1e-9, abs=1e-9)


def test_peers_that_disagree_are_an_error():
    """Peers that were given other rows give another loss, and the run ends with an error that names one."""
    peers = [Peer(OURS, "one_process"), Peer(LIMIT, "one_process")]
    peers[1].start = lambda data, dtype: Peer.start(peers[1], Generated(data.rows + 4, data.features), dtype)
    with pytest.raises(RuntimeError, match=LIMIT):
        take_turns(peers, Generated(100, 8), "float64", rounds=1, seconds=0.0, patience=0.0)
