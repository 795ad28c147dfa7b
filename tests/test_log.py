"""Log lines: one JSON object per line of our events, and in a pod of all libraries' records too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import Stopped
from jobs.runs.display.log import log


def _lines(script: str) -> list[dict[str, Any] | str]:
    """Return what a process writes to standard error: JSON lines as objects, others as they are."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) if line.startswith("{") else line for line in done.stderr.splitlines()]


def _in_pod(script: str, role: str = "worker") -> list[Any]:
    """Return what a script writes to standard error after a pod's process has begun, Dask imported before."""
    return _lines(
        f"import logging, sys, threading, warnings, distributed\n"
        f"from jobs.runs.display.log import collect_logs, log\ncollect_logs({role!r})\n{script}"
    )


def test_an_event_is_one_line_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, job and event come first; NaN and infinity are text, what is not printable is escaped."""
    before = time.time()
    log("minimize", "progress", done=1, loss=float("nan"), step=float("-inf"), message="a\n\x1b[31m\u2028b", name="ö")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.isascii()
    assert text[:-1].isprintable()
    line = json.loads(text)
    assert list(line)[:3] == ["time", "job", "event"]
    fields = {"done": 1, "loss": "nan", "step": "-inf", "message": "a\n\x1b[31m\u2028b", "name": "ö"}
    assert {key: line[key] for key in list(line)[1:]} == {"job": "minimize", "event": "progress", **fields}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert before - 0.001 <= datetime.fromisoformat(line["time"]).timestamp() <= time.time()


def test_a_signal_meanwhile_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal's handler raises while a line is written ends the job, as anywhere else."""

    def write(_text: str) -> int:
        raise Stopped("stopped by SIGINT")

    monkeypatch.setattr(sys.stderr, "write", write)
    with pytest.raises(Stopped, match="SIGINT"):
        log("minimize", "progress")


def test_records_of_libraries_and_warnings_are_lines() -> None:
    """A warning of Dask, one of Python's and one of any library are JSON lines with the pod's role."""
    dask, python, other = _in_pod(
        "logging.getLogger('distributed.worker').warning('memory %s', 'short')\n"
        "warnings.warn('careful', stacklevel=1)\n"
        "logging.getLogger('tensorflow').warning('two\\nlines')\n"
    )
    assert {key: dask[key] for key in ("job", "event", "logger", "message")} == {
        "job": "worker", "event": "warning", "logger": "distributed.worker", "message": "memory short",
    }  # fmt: skip
    assert (python["logger"], python["event"]) == ("py.warnings", "warning")
    assert "UserWarning: careful" in python["message"]
    assert (other["logger"], other["message"]) == ("tensorflow", "two\nlines")


def test_a_records_exception_is_a_field() -> None:
    """The traceback of a record is in its line, not below it."""
    (line,) = _in_pod("try:\n 1 / 0\nexcept ZeroDivisionError:\n logging.getLogger('mine').exception('failed')\n")
    assert (line["event"], line["message"]) == ("error", "failed")
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith("ZeroDivisionError: division by zero")


def test_levels_stay() -> None:
    """What was silent stays silent: information of libraries without a level of their own, and of Dask's client."""
    assert not _in_pod(
        "logging.getLogger('mine').info('x')\nlogging.getLogger('distributed.client').info('x')\n"
        "logging.getLogger('tornado.access').error('x')\n"
    )
    assert len(_in_pod("logging.getLogger('distributed.core').info('as ever')\n")) == 1


def test_user_codes_output_stays_as_it_is() -> None:
    """What user code prints, and its own handlers of files, are not touched."""
    lines = _in_pod(
        "import tempfile\nfile = tempfile.NamedTemporaryFile('r')\n"
        "logging.getLogger().addHandler(logging.FileHandler(file.name))\n"
        "sys.stderr.write('a print\\n')\ncollect_logs('worker')\n"
        "logging.getLogger('mine').error('both')\nsys.stderr.write(file.read())\n"
    )
    assert [line if isinstance(line, str) else line["message"] for line in lines] == ["a print", "both", "both"]


@pytest.mark.parametrize(
    "silence",
    [
        "logging.disable(logging.CRITICAL)",
        "import logging.config\nlogging.config.dictConfig({'version': 1})",
        "logging.getLogger().setLevel(logging.CRITICAL)",
        "logging.basicConfig(force=True, level=logging.CRITICAL, format='')",
    ],
)
def test_user_code_cannot_silence_the_events(silence: str) -> None:
    """The driver's events, the result's line among them, come whatever user code does with `logging`."""
    (line,) = _in_pod(f"{silence}\nlog('minimize', 'result', result={{'loss': 1.0}})\n")
    assert (line["event"], line["result"]) == ("result", {"loss": 1.0})


def test_a_line_that_cannot_be_made_does_not_end_the_program() -> None:
    """A value that JSON does not have is text; a record with wrong arguments is reported, and the next line comes."""
    *_, last = _in_pod(
        "log('minimize', 'done', value={1 + 2j})\nlogging.getLogger('mine').error('%d', 'x')\nlog('minimize', 'next')\n"
    )
    assert last["event"] == "next"
    (line,) = _in_pod("log('minimize', 'done', value=1 + 2j)\n")
    assert line["value"] == "(1+2j)"


def test_lines_of_threads_do_not_mix() -> None:
    """Each line of many threads is whole."""
    lines = _in_pod(
        "def write():\n for number in range(200):\n  log('a', 'b', message='x' * 500)\n"
        "  logging.getLogger('mine').error('y' * 500)\n"
        "threads = [threading.Thread(target=write) for _ in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
    )
    assert len(lines) == 1600
    assert all(isinstance(line, dict) and set(line["message"]) in ({"x"}, {"y"}) for line in lines)


def test_a_script_of_ones_own_stays_as_it_is() -> None:
    """Where no job of the program runs, warnings and Dask's records are the text that they were."""
    lines = _lines(
        "import logging, warnings, distributed\nfrom jobs.runs.display.log import log\nlog('minimize', 'run')\n"
        "logging.getLogger('distributed.worker').warning('memory')\nwarnings.warn('careful', stacklevel=1)\n"
    )
    assert [isinstance(line, dict) for line in lines][:2] == [True, False]
    assert "distributed.worker - WARNING - memory" in str(lines[1])
    assert "UserWarning: careful" in str(lines[2])


PROBLEM = """
import logging, warnings
import numpy as np

class Loud:
    rows, block_rows = 4, 2
    def x0(self):
        warnings.warn("on the driver")
        return np.zeros(1)
    def load(self, start, stop):
        logging.getLogger("distributed.worker").warning("memory short")
        return None
    def value_and_grad(self, theta, data):
        return float(theta[0] ** 2), 2 * theta
"""


def test_a_job_with_json_lines(tmp_path: Path) -> None:
    """All of standard error is JSON lines, those of other libraries and of workers on this machine too."""
    (tmp_path / "loud.py").write_text(PROBLEM)
    command = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())", "minimize"]
    command += ["--problem", "loud:Loud", "--workers", "2", "--run", "run", "--progress", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = {(line["job"], line.get("logger"), line["message"].split(": ")[-1]) for line in lines if "logger" in line}
    assert ("worker", "distributed.worker", "memory short") in said
    assert any(job == "driver" and logger == "py.warnings" for job, logger, _ in said)
    assert "minimize" in {line["job"] for line in lines}
    assert not [line for line in lines if "logger" in line and line["event"] == "info"]
