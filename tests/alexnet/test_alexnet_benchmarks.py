"""The benchmarks of alexnet: that a quick run fills tables, but for the rows of Ray and of TensorFlow's decoder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = {
    "Targets": 7,
    "Decoding 500 x 375": 4,
    "Loading from S3": 3,
    "Shuffling": 1,
    "Steps of AlexNet, 4 images a worker": 4,
    "Memory of the driver": 2,
}


def test_quick_run_writes_all_tables(tmp_path: Path) -> None:
    """A quick run writes each table with figures in its rows, and a verdict for each target."""
    output = tmp_path / "ALEXNET.md"
    command = [sys.executable, "-m", "benchmarks.alexnet", "--quick", "--without-ray", "--output", str(output)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=500)
    sections = dict(section.split("\n", 1) for section in output.read_text().split("\n## ")[1:])
    rows = {title: re.findall(r"^\|.*\d.*\|$", text, re.MULTILINE) for title, text in sections.items()}
    assert {title: len(found) for title, found in rows.items()} == ROWS
    assert sections["Targets"].count(" met |") + sections["Targets"].count(" missed |") == ROWS["Targets"]
