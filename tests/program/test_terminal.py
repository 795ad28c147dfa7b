"""Foreign text, such as errors, names and log lines, controls no terminal; an error is one line of bounded length."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from terminals import read_all

from jobs.cli import main
from jobs.errors import InputError, UserCodeError, print_error
from jobs.minimize.display.summary import show as show_minimize
from jobs.release.diagnosis.finding import Finding
from jobs.release.status.show import describe
from jobs.runs.display.console import sentence
from jobs.train.summary import show as show_train

TITLE = "\x1b]0;owned\x07\x1b[2J\x9b2J\u202e"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\x9b2J\u202e"
CONTROL = re.compile(r"[^\x20-\x7e\n]")
MINIMIZE = {"success": True, "message": TITLE, "fun": 1.0, "gradient_norm": None, "parameters": 1, "x": [1.0], "nit": 1}
MINIMIZE |= {
    "names": [TITLE],
    "method": TITLE,
    "nfev": 1,
    "nhev": 0,
    "seconds": 1.0,
    "attempt": 1,
    "accuracy_error": TITLE,
}
MINIMIZE["diagnostics"] = {"hint": TITLE, "rows": 1, "evaluations": 0, "replayed": 0, "workers": 0}
TRAIN = {"success": True, "message": TITLE, "history": {TITLE: [0.1]}, "samples": 0, "parameters": 1, "epochs": 1}
TRAIN |= {"steps": 8, "seconds": 2.0, "workers": 2, "attempt": 1, "spent": {}, "hint": TITLE}
TRAIN |= {"weights": {"epoch": 1, "best_by": TITLE}, "slowest": {"worker": TITLE, "seconds": 0.02, "others": 0.01}}


def _checked(text: str) -> None:
    assert SHOWN in text
    assert not CONTROL.search(text)


@pytest.mark.parametrize(("show", "result"), [(show_minimize, MINIMIZE), (show_train, TRAIN)])
def test_a_summary(show, result, tmp_path, capsys):
    """Messages, hints and names of a result, which may be of a folder that somebody sent, are escaped."""
    show(result, str(tmp_path))
    _checked(capsys.readouterr().out)


def test_a_status_is_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error, of any length and number of lines, is one; so is each name of a metric."""
    status = {"state": "failed", "attempt": TITLE, "exit_code": 1, "error": f"{TITLE}\nsecond " + "x" * 100_000}
    status |= {"metrics": {TITLE: 1.0, "a\nb": TITLE}, "progress": {"done": 1, "total": 2, "fraction": 0.5}}
    (tmp_path / "options.yaml").write_text(json.dumps({"job": "minimize"}))
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert main(["show", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    _checked(out)
    assert [line.split()[0] for line in out.splitlines()] == ["minimize", "progress", "metrics"]
    assert len(out) < 3000


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Of one that quotes 100,000 letters its beginning and its end are printed, which has the remedy."""
    print_error(InputError(f"method is {TITLE}\n" + "x" * 100_000 + "; take one of these"))
    err = capsys.readouterr().err
    _checked(err)
    assert err.startswith("dask-jobs: error: method is ")
    assert err.endswith("; take one of these\n")
    assert err.count("\n") == 1
    assert len(err) < 2500


def test_a_traceback_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and tabs of the details are as they were, what controls a terminal is escaped."""
    print_error(UserCodeError("no", f"Traceback:\n\tline 1 {TITLE}\n"))
    assert capsys.readouterr().err == f"Traceback:\n\tline 1 {SHOWN}\ndask-jobs: error: no\n"


def test_what_is_wrong_with_a_release() -> None:
    """Messages of the cluster and the last lines of a log, which may have colours, are text."""
    text = describe(Finding("x", "driver here", TITLE, f"do {TITLE}", log=f"\x1b[31mred\x1b[0m\r\n{TITLE}"))
    _checked(text)
    assert "| red\n  | " in text


def test_a_line_of_any_length_in_a_finding() -> None:
    """Of each line of a log, and of its last error, the beginning and the end are shown."""
    long = "x" * 100_000
    text = describe(Finding("x", "driver here", long, "do it", log=f"  indented\n{long}\n"))
    assert "  |   indented\n" in text
    assert len(text) < 5000


def test_a_sentence_above_the_live_line() -> None:
    """File names in the tars of others come in events of the job."""
    _checked(sentence("skipped", {"message": TITLE}))
    _checked(sentence("skipped", {TITLE: TITLE}))


ON_A_TERMINAL = r"""
import sys
from jobs.release.actions.logs import write_line
from jobs.release.actions.wait_view import WaitView
from jobs.runs.display.console import Reporter
from jobs.tune.display.live_table import StatusTable, TrialRow, SearchStatus
from rich.console import Console
title = "\x1b]0;owned\x07 [/bold] [red]"
with WaitView("fit") as view:
    view.line('{"time": 1.0, "job": "x", "event": "attempt", "attempt": 1}')
    view.line('{"time": 1.0, "job": "x", "event": "progress", "done": 1, "total": 2, "m[/b]\\u001b]0;owned\\u0007": 1}')
    view._live.refresh()
    view.line('{"time": 1.0, "job": "x", "event": "doing", "message": "\\u001b]0;owned\\u0007[/b]"}')
    view._live.refresh()
    view.line(title)
    view.notify(title)
    view.line('{"time": 1.0, "job": "x", "event": "done"}')
    view.line(title)
    view.end(success=True)
write_line(title)
with Reporter("train", 10) as reporter:
    reporter.update(2, {title: 1.0}, None)
    reporter._live.refresh()
    reporter.doing(title)
    reporter._live.refresh()
row = TrialRow(1, "complete", [1.0], 1, 1.0, title, {title: title})
Console().print(StatusTable("tune", SearchStatus(1, 2, {"complete": 1}, row, "maximize", 1.0, 0.0, None, [row])))
"""


def _run(*, terminal: bool) -> str:
    """Return what the script writes to its standard streams: a terminal, or a pipe."""
    environment = os.environ | {"COLUMNS": "200", "TERM": "xterm", "NO_COLOR": "1"}
    if not terminal:
        script = 'from jobs.release.actions.logs import write_line\nwrite_line("\\x1b[31mred\\r\\tA")'
        return subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.decode()
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", ON_A_TERMINAL], stdout=theirs, stderr=theirs, env=environment, check=False
    )
    os.close(theirs)
    text = read_all(ours).decode()
    assert done.returncode == 0, text
    return text


def test_log_lines_on_a_terminal() -> None:
    """Of lines of a pod, and names of metrics and hyperparameters, nothing reaches the terminal but text."""
    text = _run(terminal=True)
    assert "\x1b]0" not in text
    assert "\x07" not in text
    assert text.count(r"\x1b]0;owned\x07 [/bold] [red]") >= 8
    assert r"m[/b]\x1b]0;owned\x07 1" in text


def test_log_lines_in_a_pipe() -> None:
    """A program gets a log as it is."""
    assert _run(terminal=False) == "\x1b[31mred\r\tA\n"
