"""The benchmarks of train: that a quick run fills tables, but those for which more processes load TensorFlow."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = {
    "Targets": 4,
    "Exchange of a small vector": 2,
    "Exchange of 2 MB": 4,
    "A lost worker, and a new one": 1,
    "From the command to the first step": 1,
    "Memory of the driver": 1,
}


def test_quick_run_writes_all_tables(tmp_path: Path) -> None:
    """A quick run writes each table with figures in its rows, and a verdict for each target."""
    output = tmp_path / "TRAIN.md"
    command = [sys.executable, "-m", "benchmarks.train", "--quick", "--without-ray", "--output", str(output)]
    command += ["--only", "exchange", "losses", "start"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=500)
    sections = dict(section.split("\n", 1) for section in output.read_text().split("\n## ")[1:])
    rows = {title: re.findall(r"^\|.*\d.*\|$", text, re.MULTILINE) for title, text in sections.items()}
    assert {title: len(found) for title, found in rows.items()} == ROWS
    assert sections["Targets"].count(" met |") + sections["Targets"].count(" missed |") == ROWS["Targets"]
