"""What `wait` shows: lines as they come, and the summary alone on standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from terminals import read_all

from jobs.release.actions.wait_view import WaitView


def _line(event: str, job: str = "minimize", **fields: object) -> str:
    return json.dumps({"time": 1.0, "job": job, "event": event, **fields})


def _shown(lines: list[str], *, success: bool, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    with WaitView("fit") as view:
        for line in lines:
            view.line(line)
        view.end(success=success)
    told = capsys.readouterr()
    return told.out, told.err


def test_the_summary_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """The text after the job's last event is the summary; JSON lines and earlier text go to standard error."""
    lines = [_line("run"), "a user's print", _line("progress", done=1, total=2), _line("done"), "converged", "loss 1"]
    out, err = _shown([*lines, _line("over", "driver")], success=True, capsys=capsys)
    assert out == "converged\nloss 1\n"
    assert err.splitlines() == [*lines[:4], _line("over", "driver")]


def test_a_run_that_had_ended_already_has_a_summary_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A driver that only repeats the result logs no event of its job."""
    out, err = _shown(
        [_line("started", "driver"), "converged earlier", _line("over", "driver")], success=True, capsys=capsys
    )
    assert out == "converged earlier\n"
    assert "converged" not in err


def test_a_failure_has_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """Tracebacks and the error line go to standard error, in order."""
    text = ["Traceback", "LookupError: no such row", "dask-jobs: error: the user's code raised LookupError"]
    out, err = _shown([_line("run"), *text, _line("over", "driver")], success=False, capsys=capsys)
    assert out == ""
    assert [line for line in err.splitlines() if not line.startswith("{")] == text


def test_the_text_of_a_lost_attempt_is_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """Text that was held back when a driver was lost comes out on standard error; the next driver's summary counts."""
    with WaitView("fit") as view:
        for line in (_line("done"), "half a summ"):
            view.line(line)
        view.begin_attempt()
        for line in (_line("done"), "converged"):
            view.line(line)
        view.end(success=True)
    told = capsys.readouterr()
    assert told.out == "converged\n"
    assert "half a summ" in told.err


def test_the_result_line_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """The line of the result is kept, not shown, and the summary after it is held as before, also of an ended run."""
    for before in ([_line("run"), _line("done")], [_line("started", "driver"), _line("doing"), "a user's print"]):
        with WaitView("fit") as view:
            for line in (*before, _line("result", run="/runs/a"), "converged", _line("over", "driver")):
                view.line(line)
            view.end(success=True)
        assert view.result is not None
        assert view.result["run"] == "/runs/a"
        told = capsys.readouterr()
        assert told.out == "converged\n"
        assert '"result"' not in told.err


def test_a_librarys_record_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning that a library logs between a job's end and its summary is shown, and the summary is whole."""
    record = _line("warning", "driver", logger="distributed.client", message="late", traceback="Traceback")
    lines = [_line("run"), _line("done"), record, "converged", record, "loss 1"]
    out, err = _shown(lines, success=True, capsys=capsys)
    assert out == "converged\nloss 1\n"
    assert err.splitlines() == [*lines[:2], record, record]


SUMMARY = ["converged", "loss 1"]


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_summary_before_its_event_is_no_stray_text(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The runtime may give the summary before the events that were written before it: it is held all the same.

    Where the summary is made from the result line it is not shown again, and a user's print is not lost.
    """
    lines = [_line("progress", done=1, total=2), _line("done"), _line("result", run="/runs/a"), *SUMMARY]
    lines[place:] = [*SUMMARY, *lines[place:-2], _line("over", "driver")]
    lines.insert(1, "a user's print")
    for shown, expected in ((None, "converged\nloss 1\n"), (lambda: SUMMARY, "")):
        with WaitView("fit") as view:
            for line in lines:
                view.line(line)
            view.end(success=True, shown=shown)
        told = capsys.readouterr()
        text = [line for line in told.err.splitlines() if not line.startswith("{")]
        if shown is None and place == 1:  # nothing tells a summary before all its events from a print
            assert (told.out, text) == (f"a user's print\n{expected}", [])
        else:
            assert (told.out, text) == (expected, ["a user's print"])


def test_a_print_is_shown_soon(capsys: pytest.CaptureFixture[str]) -> None:
    """Text from the middle of a run is shown when a while has passed without the run's end, and nothing is lost."""
    with WaitView("fit") as view:
        view.line(_line("progress", done=1, total=2))
        view.line("a print")
        view.passed()
        assert "a print" not in capsys.readouterr().err
        view.line("another")
        view.passed()
        assert capsys.readouterr().err == "a print\n"
    assert capsys.readouterr().err == "another\n"


def test_a_lost_attempts_result_does_not_count() -> None:
    """A driver that was lost after its result is followed by another, whose result counts."""
    with WaitView("fit") as view:
        view.line(_line("result", run="/runs/a"))
        view.begin_attempt()
        assert view.result is None


def test_a_line_of_many_brackets_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that no JSON reader can nest is shown as it is."""
    out, _ = _shown(['{"a":' + "[" * 100_000], success=True, capsys=capsys)
    assert out.startswith('{"a":[[[')


ODD = (
    "null",
    "7",
    "-1",
    "0.5",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "1e300",
    "9" * 400,
    '"9"',
    '"x"',
    "[]",
    '["x"]',
    "{}",
    "true",
)
FIELDS = (
    "event",
    "job",
    "time",
    "done",
    "total",
    "iterations",
    "attempt",
    "run",
    "workers",
    "message",
    "direction",
    "logger",
    "traceback",
    "a_share",
)
LINES = [
    '{"event": "attempt"}',
    '{"event": "progress", "level": "info"}',
    '{"event": ' + "[" * 5000 + "]" * 5000 + "}",
    '{"time": 1.0, "job": "minimize", "event": "doing", "message": ' + "[" * 900 + "]" * 900 + "}",
    *(
        f'{{"time": 2.0, "job": "minimize", "event": "{event}", "done": 1, "total": 9, "{field}": {value}}}'
        for event in ("progress", "done", "doing", "attempt", "result", "other")
        for field in FIELDS
        for value in ODD
    ),
]
SHOWS_ALL = """
import json, sys
from jobs.release.actions.wait_view import WaitView
from jobs.release.api import driver_log
lines = json.load(sys.stdin)
for line in lines:
    driver_log.read([lines[0], line])
with WaitView("fit") as view:
    for line in lines:
        view.line(line)
        view._live.refresh()
    view.passed()
    view.end(success=True)
print("all shown")
"""


def test_lines_of_a_users_own_logger_are_no_events(tmp_path: Path) -> None:
    """JSON lines that look like events but are not of our form, on a terminal, end nothing: they are text."""
    ours, theirs = os.openpty()
    drain = threading.Thread(target=read_all, args=(ours,))
    drain.start()
    line = [sys.executable, "-c", SHOWS_ALL]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run(
        line,
        input=json.dumps(LINES),
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
        text=True,
        check=False,
        timeout=240,
    )
    os.close(theirs)
    drain.join()
    assert done.stdout.endswith("all shown\n")


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "attempt", "level": "info"}',
        '{"event": {"a": 1}, "job": "minimize"}',
        '{"event": "progress", "job": "minimize", "done": Infinity, "total": 3, "time": 1.0}',
        '{"event": "progress", "job": "minimize", "done": 5, "total": 3, "time": 1.0}',
    ],
)
def test_a_users_own_line_is_text(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no event of ours is shown as it was printed."""
    assert line in _shown([_line("attempt", attempt=1), line], success=False, capsys=capsys)[1].splitlines()


ON_A_TERMINAL = """
import json, sys
from jobs.release.actions.wait_view import WaitView
with WaitView("fit") as view:
    metrics = {"best": 0.5, "direction": "minimize"}
    for fields in ({"event": "progress", "done": 20, "total": 1000, **metrics}, json.loads(sys.argv[1])):
        view.line(json.dumps({"time": 1.0, "job": "minimize", **fields}))
        view._live.refresh()
        view.notify("look here")
    view.line("converged")
    view.notify("stuck: no node for it", "yellow")
    view.end(success=True)
"""


@pytest.mark.parametrize(
    ("last", "reached"),
    [
        ({"event": "done"}, "20 of 1,000 iterations"),
        ({"event": "result", "run": "/runs/a"}, "20 of 1,000 iterations"),
        ({"event": "done", "iterations": 31}, "31 of 31 iterations"),
        ({"job": "tune", "event": "done", "trials": 32}, "32 of 32 iterations"),
    ],
)
def test_on_a_terminal_a_bar_is_shown_and_the_summary_is_not_lost_in_it(
    last: dict[str, object], reached: str, tmp_path: Path
) -> None:
    """With a terminal as standard error, the bar is there and ends at the steps made; the summary is in the file.

    At the end the bar has no metrics: the last that were logged need not be the result's.
    """
    ours, theirs = os.openpty()
    line = [sys.executable, "-c", ON_A_TERMINAL, json.dumps(last)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    with (tmp_path / "summary").open("wb") as summary:
        subprocess.run(line, stdout=summary, stderr=theirs, env=environment, check=True, timeout=240)
    os.close(theirs)
    shown = read_all(ours)
    assert (tmp_path / "summary").read_text() == "converged\n"
    for text in (reached, "best (smallest) 0.5", "stuck: no node for it"):
        assert text in shown.decode()
    assert "converged" not in shown.decode()
    assert "best" not in shown.decode().rpartition("look here")[2]
