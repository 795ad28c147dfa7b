"""`.ci/run`, with commands in place of make and of the cluster's program: each part counts, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from waiting import until

RUN = Path(__file__).parents[1] / ".ci/run"
MAKE = """#!/bin/sh
echo "$$" >>processes; echo "begins $*" >>trace
case "$*" in {waits}) sh -c '{ignores}; echo $$ >>processes; touch waits; exec sleep 600' ;; esac
echo "output of $*"
case "$*" in {fails}) until [ -e building ]; do sleep 0.02; done; exit 7 ;; esac
"""
KUBE = """#!/bin/sh
echo "kube $1" >>trace
case "$1" in
    status) cat state ;;
    env) echo "export KUBECONFIG=there" ;;
    image) touch building; {image} ;;
esac
"""

Ci = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ci:
    """Return `ci(waits=, ignores=, fails=, image=, state=)`, which starts a copy of .ci/run in `tmp_path`.

    `make WAITS` lasts until it is ended, and runs the command `ignores` first; `make FAILS` ends with 7; `image` is the
    command that builds an image, and `state` the cluster's before.
    """
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/install-chromium").write_text("#!/bin/sh\n")
    (tmp_path / "tests/install-chromium").chmod(0o755)
    for path in (".ci/run", "tests/e2e/cluster"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes((RUN.parents[1] / path).read_bytes())
        (tmp_path / path).chmod(0o755)

    def start(
        waits: str = "none", ignores: str = ":", fails: str = "none", image: str = ":", state: str = "etcd DOWN"
    ) -> subprocess.Popen[str]:
        (tmp_path / "state").write_text(f"{state}\n")
        make, kube = MAKE.format(waits=waits, ignores=ignores, fails=fails), KUBE.format(image=image)
        for name, text in {"make": make, "kube": kube}.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBE": str(tmp_path / "kube")}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([tmp_path / ".ci/run"], cwd=tmp_path, env=environment, text=True, **streams)

    return start


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _nothing_left(folder: Path) -> bool:
    processes = [int(line) for line in _lines(folder / "processes")]
    return bool(processes) and not any(_lives(process) for process in processes)


def _lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_all_parts_run_and_are_shown_whole(ci: Ci, tmp_path: Path) -> None:
    """Each part's output stands under its name, each image is loaded once, after the unit tests; minutes are told."""
    out, err = ci().communicate(timeout=240)
    shown = re.findall(r"===== ([\w-]+): exit code 0\noutput of (.*)", out)
    parts = dict(shown)
    assert shown[0] == ("lint", "lint")
    assert parts == {
        "lint": "lint",
        "torch": ".venv/torch/ready",
        "test": "test",
        "test-torch": "test-torch",
        "charts": "test-charts",
        "e2e": "e2e",
    }
    assert "===== cluster: exit code 0" in out
    told = re.findall(r"^([\w-]+) +\d+\.\d$", out, re.MULTILINE)
    assert sorted(told) == sorted([*parts, "all", "browser", "cluster", "images", "larger"])
    trace = _lines(tmp_path / "trace")
    assert [trace.count(line) for line in ("kube up", "kube load", "kube down")] == [1, 3, 1]
    assert trace.index("begins test") < trace.index("kube up")
    assert trace[-1] == "kube down"
    assert (err, _nothing_left(tmp_path)) == ("", True)


def test_cluster_that_was_up_stays_up(ci: Ci, tmp_path: Path) -> None:
    """Only a cluster that was started for the tests is ended after them."""
    process = ci(state="etcd up")
    process.communicate(timeout=240)
    assert (process.returncode, "kube down" in _lines(tmp_path / "trace")) == (0, False)


@pytest.mark.parametrize(
    ("fault", "code", "last"),
    [
        ({"fails": "lint"}, 7, "lint"),
        ({"fails": "test"}, 7, "test"),
        ({"fails": "e2e"}, 7, "e2e"),
        ({"waits": "lint", "image": "until [ -e waits ]; do sleep 0.02; done; exit 5"}, 5, "images"),
        ({"fails": "test", "image": "echo $$ >>processes; exec sleep 600"}, 7, "test"),
    ],
)
def test_a_part_that_fails_ends_all(ci: Ci, tmp_path: Path, fault: dict[str, str], code: int, last: str) -> None:
    """Its exit code is that of all, no further part begins, and what runs beside it is ended with its children."""
    process = ci(**fault)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == code
    assert re.findall(r"===== ([\w-]+): exit code [^0]", out) == [last]
    assert re.findall(r"===== ([\w-]+)", out)[-1] == last
    assert out.splitlines()[-1].startswith("all ")
    assert (_nothing_left(tmp_path), _lines(tmp_path / "trace")[-1]) == (True, "kube down")


@pytest.mark.parametrize(("sent", "ignores"), [(signal.SIGINT, ":"), (signal.SIGTERM, 'trap "" INT')])
def test_interrupted_it_leaves_nothing(ci: Ci, tmp_path: Path, sent: signal.Signals, ignores: str) -> None:
    """Ctrl-C ends all parts and their children, also those that ignore it, and the cluster."""
    process = ci(waits="test", ignores=ignores)
    until((tmp_path / "waits").exists)
    process.send_signal(sent)
    process.communicate(timeout=240)
    assert process.returncode == 128 + sent
    assert (_nothing_left(tmp_path), _lines(tmp_path / "trace")[-1]) == (True, "kube down")
