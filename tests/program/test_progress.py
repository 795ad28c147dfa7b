"""What is shown of a job's progress, and where: a terminal, a notebook's cell, lines of text, JSON, or nothing."""

from __future__ import annotations

import inspect
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy.optimize import _lbfgsb_py, _optimize

from jobs.cli import main
from jobs.minimize.optimize import methods
from jobs.runs.display import notebook
from jobs.runs.display.console import Reporter
from jobs.runs.display.mode import mode, using
from jobs.runs.display.progress import Progress, metric_texts

LINE = re.compile(r"\d\d:\d\d:\d\d minimize: ")
METRICS = {"loss": 2500.0017, "loss_change": -3.1e-4, "gradient_norm": 3.9, "gradient_tolerance": 1e-5}


def test_an_optimizer_has_no_eta() -> None:
    """Its limit is no goal: the decrease of the loss, and the gradient against its tolerance, say how far it is."""
    progress = Progress(67, 1000, "iterations", True, METRICS | {"evaluations_per_second": 10.0, "workers": 2}, 8.0)
    assert progress.course() == [
        "iteration 67 of at most 1,000", "elapsed 0:00:08", "10 evaluations/s", "2 workers",
    ]  # fmt: skip
    assert progress.values() == ["loss 2500.0017", "-3.1e-04", "max |g| 3.9 (ends at 1e-05)"]


def test_what_has_a_total_has_an_eta() -> None:
    """Rates and one worker are named; NaN marks the end, where no ETA is."""
    progress = Progress(3, 12, "trials", metrics={"samples_per_second": 7.5, "workers": 1}, eta=90.0)
    assert progress.line() == "3 of 12 trials  ETA 0:01:30  elapsed 0:00:00  7.5 samples/s  1 worker"
    assert Progress(12, 12, "trials", eta=math.nan).line() == "12 of 12 trials  elapsed 0:00:00"


@pytest.mark.parametrize("value", ["nan", 10**400, None, True, [1]])
def test_metrics_of_a_damaged_line_are_texts(value: object) -> None:
    """Whatever a line of a log holds in the place of a number."""
    names = ("loss", "loss_change", "gradient_norm", "gradient_tolerance", "a_share", "b_per_second", "workers")
    assert metric_texts(dict.fromkeys(names, value))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("BFGS", _optimize._minimize_bfgs),
        ("CG", _optimize._minimize_cg),
        ("L-BFGS-B", _lbfgsb_py._minimize_lbfgsb),
    ],
)
def test_the_tolerance_is_scipys(name: str, function: object) -> None:
    """It is SciPy's default, `tol`, or the option, and not shown for another norm of the gradient."""
    method = methods.find(name)
    default = inspect.signature(function).parameters["gtol"].default
    assert method.gradient_tolerance({}, None) == default
    assert method.gradient_tolerance({}, 0.5) == 0.5
    assert method.gradient_tolerance({"gtol": 0.25}, 0.5) == 0.25
    assert method.gradient_tolerance({"norm": 2}, None) is None
    assert methods.find("trust-ncg").gradient_tolerance({}, 0.5) is None


@pytest.mark.parametrize("asked", ["auto", "plain", "json", "none"])
def test_lines_elsewhere(asked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text by default, JSON and silence if asked for; what happened, such as the run folder, is always said."""
    arguments = ["--workers", "0", "--max-iterations", "2", "--run", str(tmp_path / "run"), "--progress", asked]
    assert main(["minimize", *arguments]) == 0
    lines = capsys.readouterr().err.splitlines()
    if asked == "json":
        assert {json.loads(line)["event"] for line in lines} >= {"attempt", "doing", "progress", "done", "run folder"}
        return
    assert all(LINE.match(line) for line in lines)
    assert ("iteration 0 of at most 2" in "".join(lines)) == (asked != "none")
    assert lines[0].endswith(f"run folder: {tmp_path}/run")
    assert len(lines) == 1 or asked != "none"


def test_json_is_of_one_run_alone(tmp_path: Path) -> None:
    """In a script the next run writes text again, and other libraries' loggers are as they were."""
    script = (
        "import logging, sys\nfrom jobs.cli import main\n"
        "arguments = ['minimize', '--workers', '0', '--max-iterations', '1', '--run']\n"
        "main([*arguments, sys.argv[1] + '/a', '--progress', 'json'])\n"
        "main([*arguments, sys.argv[1] + '/b'])\nlogging.getLogger('mine').warning('as ever')\n"
    )
    line = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=120)
    kinds = ["json" if text.startswith("{") else "text" for text in done.stderr.splitlines()]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"json", "text"}
    assert done.stderr.endswith("as ever\n")


def test_below_a_cell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In a kernel one piece of HTML is replaced, a few times per second; names are escaped; the last one is shown."""
    pages: list[str] = []
    handle = SimpleNamespace(update=lambda page: pages.append(page.data))
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    display = SimpleNamespace(
        HTML=lambda text: SimpleNamespace(data=text),
        display=lambda page, display_id: pages.append(page.data) or handle,
    )
    monkeypatch.setattr(notebook, "_ipython", lambda: display)
    assert mode() == "notebook"
    with Reporter("train", 1000) as reporter:
        reporter.doing("starting workers <here>")
        for step in range(500):
            reporter.update(step, {"<b>": 1.0}, None)
        reporter.log("epoch", message="epoch 1: loss 0.5")
    assert "starting workers &lt;here&gt;" in pages[0]
    assert 2 <= len(pages) < 100
    assert "499 of 1,000 steps" in pages[-1]
    assert "&lt;b&gt; 1" in pages[-1]
    assert capsys.readouterr().out.endswith("train: epoch 1: loss 0.5\n")


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON in a pod, text where nothing else is known; what is asked for wins, until the context's end."""
    assert mode() == "plain"
    with using("none"):
        assert mode() == "none"
    monkeypatch.setenv("DASK_JOBS_ROLE", "driver")
    assert mode() == "json"
    with using("plain"):
        assert mode() == "plain"
