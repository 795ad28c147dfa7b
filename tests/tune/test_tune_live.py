"""What a person sees while a search runs: the table at any size, what is left, and both kinds of standard error."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from rich.console import Console

from jobs.runs.display.eta import EtaEstimator
from jobs.tune.display.live_table import SearchStatus, StatusTable, TrialRow, last_words

PARAMS = {
    "learning_rate": 0.0123456789,
    "batch_size": 64,
    "kind": None,
    "a_very_long_name_of_a_hyperparameter": "x" * 70,
}


def _line(number: int, state: str, values: tuple[float, ...] = (0.5,)) -> TrialRow:
    return TrialRow(number, state, values, 3, 12.34, f"tcp://10.0.0.{number}:40001", PARAMS)


def _status(**changes: object) -> SearchStatus:
    lines = [_line(number, state) for number, state in enumerate(("running", "complete", "pruned", "failed") * 8)]
    counts = {"running": 2, "complete": 3, "pruned": 40, "failed": 1, "diverged": 0}
    given = {
        "done": 44,
        "total": 100,
        "counts": counts,
        "best": _line(7, "complete", (0.98765,)),
        "direction": "maximize",
    }
    moment = {"seconds": 61.0, "moment": time.monotonic(), "eta": 3600.0, "lines": lines}
    return SearchStatus(**{**given, **moment, **changes})  # type: ignore[arg-type]


def _drawn(status: SearchStatus, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(StatusTable("tune", status))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "height"), [(40, 8), (60, 12), (80, 24), (120, 40), (250, 70)])
def test_the_table_fits_the_terminal(width: int, height: int) -> None:
    """Whatever its size: no line is wrapped, the last one stays free, and what does not fit is left out."""
    lines = _drawn(_status(), width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert "44/100  0:01:01" in lines[0]
    assert lines[1].startswith("2 running  3 complete  40 pruned")
    assert lines[2].startswith("best (largest)  0.9877  trial 7")
    assert ("worker" in lines[4]) == (width >= 120)
    assert sum("12.3" in line for line in lines) == min(12, height - 6)


def test_hyperparameters_control_no_terminal() -> None:
    """A line break or an escape sequence in a name or a value is shown, and does nothing."""
    odd = TrialRow(1, "complete", (0.5,), 3, 12.34, "tcp://10.0.0.1:40001", {"na\nme": "va\nlue\x1b[31m"})
    lines = _drawn(_status(best=odd, lines=[odd]), 120, 24)
    assert len(lines) == 6
    assert lines[2].endswith(r"trial 1  na\nme va\nlue\x1b[31m")
    assert r"va\nlue\x1b[31m" in lines[-1]
    assert r"na\nme" in lines[-2]


def test_what_is_not_known_is_not_shown() -> None:
    """Before the first end there is no best and no ETA; several objectives have no best line, but all values."""
    early = _status(best=None, eta=None, lines=[], counts={"running": 2, "complete": 0, "pruned": 0})
    assert _drawn(early, 80, 24)[1:] == ["2 running  0 complete", "best (largest)  none yet"]
    assert "ETA" not in _drawn(early, 80, 24)[0]
    several = _drawn(_status(best=None, direction=None, lines=[_line(1, "complete", (0.5, 20.0))]), 80, 24)
    assert not any("best" in line for line in several)
    assert "0.5, 20" in several[-1]


def test_the_last_words_say_how_far_it_was() -> None:
    """A search that does not come to its end leaves its counts and its best."""
    texts = [text.plain for text in last_words(_status())]
    assert texts[0] == "44 of 100 trials: 2 running  3 complete  40 pruned  1 failed"
    assert texts[1].startswith("best (largest)  0.9877  trial 7")
    assert last_words(_status(direction="minimize"))[1].plain.startswith("best (smallest)  0.9877  trial 7")


def test_the_pace_is_the_present_one() -> None:
    """After slow trials come fast ones: these tell what is left; a pause makes it longer; running ones count half."""
    estimator = EtaEstimator(0.0)
    assert estimator.remaining(10, 1.0, running=2) is None
    for number in range(1, 11):
        estimator.note(number, 10.0 * number)
    assert estimator.remaining(10, 100.0, running=2) == pytest.approx(90)
    for number in range(1, 101):
        estimator.note(10 + number, 100.0 + number)
    assert estimator.remaining(10, 200.0, running=2) == pytest.approx(9)
    assert estimator.remaining(10, 264.0, running=2) == pytest.approx(18)
    assert estimator.remaining(1, 200.0, running=2) == 0.0


def test_the_rate_counts_steps_that_are_noted_together() -> None:
    """A job that goes on has its steps of before, and one note may stand for many steps: a line of a log does."""
    estimator = EtaEstimator(5.0, done=510)
    assert estimator.remaining(490, 6.0) is None
    estimator.note(520, 6.0)
    assert estimator.remaining(480, 6.0) == pytest.approx(48)
    estimator.note(720, 8.0)
    assert estimator.remaining(280, 8.0) == pytest.approx(2.8)


def _command(folder: Path, *more: str) -> list[str]:
    (folder / "space.yaml").write_text("x: {uniform: [-1, 1]}\n")
    code = "import sys; from jobs.cli import main; sys.exit(main())"
    place = ["--space", str(folder / "space.yaml"), "--run", str(folder / "run"), "--workers", "1"]
    return [sys.executable, "-c", code, "tune", *place, *more]


def _on_a_terminal(command: list[str], *, term: str = "xterm", stop_at: str = "") -> tuple[int, str]:
    """Run a command on a terminal of 24 x 80, interrupted when it has written a text; return its code and output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, {**os.environ, "TERM": term})
    termios.tcsetwinsize(terminal, (24, 80))
    output = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(terminal, 65536):
            output += part
            if stop_at and stop_at.encode() in output:
                os.kill(pid, signal.SIGINT)
                stop_at = ""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode()


def _plain(output: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "")


def test_a_search_on_a_terminal(tmp_path: Path) -> None:
    """The table is drawn, failures are sentences above it, and at the end it is erased and the summary stands there."""
    code, output = _on_a_terminal(_command(tmp_path, "--objective", "trials:fails", "--trials", "12"))
    assert code == 0, output
    text = _plain(output)
    assert "starting workers on this machine" in text
    assert "failed: trial" in text
    assert '{"time"' not in text
    assert "\x1b[2K" in output
    assert text.rstrip().endswith(f"dask-jobs report {tmp_path}/run")


def test_what_trials_print_stands_above_the_table(tmp_path: Path) -> None:
    """Each line that a worker or its child prints begins a line of the terminal, and nothing is left of the table."""
    command = _command(tmp_path, "--objective", "trials:prints", "--trials", "4", "--pruner", "none")
    code, output = _on_a_terminal(command)
    assert code == 0, output
    for number in range(4):
        for what in ("out", "err", "child"):
            assert re.search(rf"(^|[\nKG]){what} {number}\r?\n", re.sub(r"\x1b\[[0-9;?]*", "", output))
    assert "lost" not in output


def test_a_search_interrupted_on_a_terminal(tmp_path: Path) -> None:
    """Ctrl-C leaves how far the search was above the error."""
    command = _command(tmp_path, "--objective", "trials:paced", "--trials", "500", "--pruner", "none")
    code, output = _on_a_terminal(command, stop_at="complete")
    assert code == 4, output
    text = _plain(output)
    assert re.search(r"\d+ of 500 trials: \d running", text)
    assert text.rstrip().endswith("all is saved: the same command goes on")


def test_a_terminal_that_can_do_nothing(tmp_path: Path) -> None:
    """TERM=dumb gets lines, as a file does."""
    code, output = _on_a_terminal(_command(tmp_path, "--objective", "trials:quick", "--trials", "2"), term="dumb")
    assert code == 0, output
    assert "\x1b[" not in output
    assert re.search(r"^\d\d:\d\d:\d\d tune: 0 of 2 trials  ETA -:--:--  elapsed 0:00:0", output, flags=re.MULTILINE)


def test_lines_where_there_is_no_terminal(tmp_path: Path) -> None:
    """With --progress json there are JSON lines, whose counts are integers."""
    command = _command(tmp_path, "--objective", "trials:quick", "--trials", "2", "--progress", "json")
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    # Dask's own warnings of a busy machine come as text, from processes of its own.
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    (progress,) = [line for line in lines if line["event"] == "progress"]
    assert (progress["done"], progress["total"]) == (0, 2)
    assert all(isinstance(progress[state], int) for state in ("running", "pruned", "failed", "diverged"))
