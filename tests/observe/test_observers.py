"""The user's own observer, a command or a request at the end, and metrics for Prometheus."""

from __future__ import annotations

import json
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pods import free_port

from jobs.cli import main
from jobs.runs.observe.metrics import RunMetrics, served
from jobs.runs.observe.stream import HELD, Channel

BROKEN = """
class Broken:
    rows = 9
    def x0(self): return [0.0]
    def load(self, start, stop): return stop - start
    def value(self, theta, data): raise KeyError("x")
"""
MINIMIZE = ["minimize", "--workers", "0", "--max-iterations", "3", "--run"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTS", str(tmp_path / "events"))


def _events() -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("events").read_text().splitlines()]


def test_the_users_observer(capsys: pytest.CaptureFixture[str]) -> None:
    """It gets all events in order; its bug ends nothing, and is the last line's."""
    assert main([*MINIMIZE, "run", "--observer", "watched:observe"]) == 0
    start, *values, end = _events()
    assert (start["event"], start["job"], start["run"], start["attempt"]) == ("start", "minimize", "run", 1)
    assert start["options"]["method"] == "L-BFGS-B"
    assert [(one["event"], one["step"]) for one in values] == [("values", 1), ("values", 2), ("values", 3)]
    assert (end["event"], end["state"], end["exit_code"]) == ("end", "done", 0)
    assert end["result"]["nit"] == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("dask-jobs: warning: observer: ")
    assert "ValueError: a bug of mine" in last
    assert "not_observed" not in json.loads(Path("run/result.json").read_text())


@pytest.mark.parametrize("spec", ["watched:nothing", "nowhere:observe", "os:name"])
def test_an_observer_that_cannot_be_used(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is one line before any work."""
    assert main([*MINIMIZE, "run", "--observer", spec]) == 2
    assert "--observer" in capsys.readouterr().err.splitlines()[-1]
    assert not Path("run/attempts").exists()


def test_a_command_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """It has the state in its environment and the event on standard input, also of a run that failed."""
    names = " ".join(f"$DASK_JOBS_{name}" for name in ("JOB", "RUN", "STATE", "EXIT_CODE"))
    command = f'echo "{names}" >>told; cat >event.json; exit 3'
    assert main([*MINIMIZE, "run", "--on-end", command]) == 0
    assert "exit code 3" in capsys.readouterr().err.splitlines()[-1]
    assert json.loads(Path("event.json").read_text())["result"]["nit"] == 3
    Path("broken.py").write_text(BROKEN)
    sys.path.insert(0, ".")
    try:
        failed = ["minimize", "--workers", "0", "--method", "Nelder-Mead", "--problem", "broken:Broken", "--no-check"]
        assert main([*failed, "--run", "other", "--on-end", command]) == 1
    finally:
        sys.path.remove(".")
    assert Path("told").read_text() == "minimize run done 0\nminimize other failed 1\n"
    assert "KeyError" in json.loads(Path("event.json").read_text())["error"]


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted; answers 500 at /bad."""

    got: list[dict[str, object]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(500 if self.path == "/bad" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def hook() -> Iterator[str]:
    """Yield the address of a server of hooks."""
    Hook.got.clear()
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_request_at_the_end(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The event is posted; an answer that is an error is said, and changes nothing."""
    assert main([*MINIMIZE, "a", "--on-end", f"{hook}/good"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main([*MINIMIZE, "b", "--on-end", f"{hook}/bad"]) == 0
    assert "500" in capsys.readouterr().err.splitlines()[-1]
    assert [(one["run"], one["state"]) for one in Hook.got] == [("a", "done"), ("b", "done")]


def test_metrics() -> None:
    """They are those of the last status, with labels of the run; core-seconds grow with the workers."""
    metrics, port = RunMetrics("tune", "runs/a", 2), free_port()
    with served(metrics, port, "127.0.0.1"):
        metrics.status({"metrics": {"best": 0.5, "running": 2, "pruned": 1, "workers": 3, "direction": "minimize"}})
        metrics.status({"progress": {"done": 4, "total": 9}})
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    where = '{job="tune",run="runs/a"}'
    assert f"dask_jobs_best{where} 0.5" in text
    assert f"dask_jobs_steps_done{where} 4.0" in text
    assert 'dask_jobs_trials{job="tune",run="runs/a",state="pruned"} 1.0' in text
    assert float(text.partition(f"dask_jobs_core_seconds_total{where} ")[2].split()[0]) > 0


def test_a_port_that_is_taken(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is one line before any work."""
    port = hook.rpartition(":")[2]
    assert main([*MINIMIZE, "run", "--metrics-port", port]) == 2
    assert f"--metrics-port is {port}, but cannot be listened on" in capsys.readouterr().err.splitlines()[-1]


def test_an_observer_that_hangs() -> None:
    """It holds nobody up: what does not fit is dropped, and counted at the end."""
    held = threading.Event()

    class Slow:
        def deliver(self, events: list[object]) -> None:
            held.wait()

    channel = Channel("slow", Slow())  # type: ignore[arg-type]
    for _ in range(HELD + 600):
        channel.send({"event": "values"})  # type: ignore[typeddict-item]
    assert "did not get there (it is too slow)" in channel.end(0.0)
    held.set()
