"""What a person sees of a running job on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console
from terminals import read_all

from jobs.runs.display.console import print_rows

SCRIPT = """
from jobs.runs.display.console import Reporter
with Reporter("train", 10) as reporter:
    reporter.log("run folder", message="runs/x")
    reporter.update(2, {"loss": 0.5}, None)
    reporter._live.refresh()
    reporter.update(2, {"loss": 0.5}, 332.0)
    reporter._live.refresh()
"""


def _on_a_terminal(script: str, width: int = 120) -> str:
    """Return what a script writes to standard error, a terminal of so many columns, without control sequences."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(width), "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", script], stderr=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read_all(ours).decode())


def test_the_live_line_says_what_its_numbers_are() -> None:
    """The ETA is named, also before it is known, as in the live table of a search."""
    text = _on_a_terminal(SCRIPT)
    assert "2 of 10 steps" in text
    assert "ETA -:--:--" in text
    assert "ETA 0:05:32" in text
    assert "run folder: runs/x" in text


@pytest.mark.parametrize(
    ("width", "there", "not_there"), [(160, "25% optimizer", "?"), (66, "accuracy 0.9", "optimizer")]
)
def test_many_metrics_do_not_push_the_eta_off_the_line(width: int, there: str, not_there: str) -> None:
    """The last are left out on a narrow terminal; rates have short names, and shares of the time are percents."""
    metrics = {"loss": 0.5, "accuracy": 0.9, "samples_per_second": 788.9}
    metrics |= {f"{name}_share": 0.25 for name in ("data", "compute", "exchange", "optimizer")}
    text = _on_a_terminal(
        f"""
from jobs.runs.display.console import Reporter
with Reporter("train", 104000) as reporter:
    reporter.update(2600, {metrics}, 332.0)
    reporter._live.refresh()
""",
        width,
    )
    assert "2,600 of 104,000 steps" in text
    assert "ETA 0:05:32" in text
    assert there in text
    assert not_there not in text
    assert max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("terminal", [True, False])
def test_long_rows(terminal):
    """On a terminal they go on below their column, cut between words; elsewhere each is a line."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=40, color_system=None)
    print_rows(console, [("time", "22.80 s on 2 workers: 64% computing, 25% waiting"), ("folder", "/" + 50 * "x")])
    print_rows(console, [("plots", command := "dask-jobs report runs/a-run-with-a-long-name")])
    first, second = ("time    22.80 s on 2 workers: 64%", "computing, 25% waiting")
    broken = f"{first}\n        {second}" if terminal else f"{first} {second}"
    assert file.getvalue() == f"{broken}\nfolder  /{50 * 'x'}\nplots  {command}\n"
