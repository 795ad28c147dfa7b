"""The page on PyTorch, and its benchmarks: what is marked runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from doc_blocks import ROOT, marked, run


def test_marked_blocks_run(tmp_path: Path) -> None:
    """What docs/torch.md marks to be run succeeds as it stands, and prints what the page says."""
    some = marked(ROOT / "docs/torch.md", ["python torch run"])
    assert len(some) == 3
    run(some, tmp_path / "examples")


def test_a_quick_benchmark_writes_all_tables(tmp_path: Path) -> None:
    """A quick run writes the targets with a verdict each, and each table."""
    output = tmp_path / "TORCH.md"
    command = [sys.executable, "-m", "benchmarks.torch", "--quick", "--output", str(output)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=500)
    sections = dict(section.split("\n", 1) for section in output.read_text().split("\n## ")[1:])
    titles = ["Newton-CG", "Hessian products", "Packing", "Batch L-BFGS", "Sharded", "Portable instructions"]
    assert list(sections) == ["Targets", *titles]
    assert sections["Targets"].count(" met |") + sections["Targets"].count(" missed |") == 6
