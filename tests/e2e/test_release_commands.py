"""`dask-jobs status|wait|logs|cancel|fetch` on a real cluster, where what they meet cannot be recorded beforehand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from release import Claim, Kubectl, wait_until
from unsteady import Unsteady
from watched import COMMAND, SLOW, Watched, slow_values

KILL = """import os, pathlib
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if b"jobs.pods.driver" in path.read_bytes() and path.parent.name not in ("1", str(os.getpid())):
        os.kill(int(path.parent.name), 9)
"""
NO_DEVICE = {"workers": {"gpu": 1, "gpuResource": "example.com/none"}}


@dataclass(frozen=True)
class Typed:
    """A `dask-jobs` command in the background, whose stderr goes to a file."""

    process: subprocess.Popen[str]
    stderr: Path

    def until_says(self, text: str) -> None:
        """Wait until a text is in its stderr."""
        wait_until(f"the command says {text!r}", lambda: text in self.stderr.read_text(), pause=0.1)

    def until_follows(self) -> None:
        """Wait until it has shown a line of the driver's progress: it reads the driver's log."""
        self.until_says('"event": "progress"')

    def end(self, timeout: float = 240) -> tuple[int, str, str]:
        """Wait for its end, and return its exit code and what it wrote to both streams."""
        out, _ = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, self.stderr.read_text()


@contextmanager
def _started(watched: Watched, *words: str) -> Iterator[Typed]:
    """Yield a `dask-jobs` command that goes on in the background; it is ended with the block."""
    line = [sys.executable, "-c", COMMAND, *words, "-n", watched.api.namespace]
    stderr = watched.home.parent / "stderr"
    with (
        stderr.open("w") as file,
        subprocess.Popen(line, cwd=watched.home, stdout=subprocess.PIPE, stderr=file, text=True) as process,
    ):
        try:
            yield Typed(process, stderr)
        finally:
            process.kill()


def test_wait_follows_a_driver_that_is_replaced(watched: Watched, kubectl: Kubectl) -> None:
    """The driver's pod is deleted by force under `wait`, which follows the next one; its stdout is the summary."""
    watched.install("fit", values=slow_values())
    watched.until_event("fit", "progress")
    status = json.loads(watched.tell("status", "fit", "--json")[1])
    assert (status["phase"], status["workers"]["ready"], status["exit_code"]) == ("running", 2, None)
    with _started(watched, "wait", "fit") as typed:
        typed.until_follows()
        kubectl("delete", "pod", *watched.pods("fit", "driver"), "--force", "--grace-period=0")
        code, out, err = typed.end()
    assert code == 0, err
    assert out.startswith("converged")
    assert "the driver was replaced" in err
    watched.no_pods_in(60)


def test_wait_outlives_a_break_of_the_api(watched: Watched, tmp_path: Path) -> None:
    """All connections to the API break for some seconds: `wait` says so, goes on, and has each log line once.

    The line of the result is not shown: it becomes ./fit-result.
    """
    watched.install("fit", values=slow_values())
    watched.until_event("fit", "progress")
    way = Unsteady(tmp_path)
    with _started(watched, "wait", "fit", "--kubeconfig", way.kubeconfig) as typed:
        typed.until_follows()
        way.cut()
        typed.until_says("cannot be reached")
        way.mend()
        code, out, err = typed.end()
    way.close()
    assert code == 0, err
    assert out.startswith("converged")
    assert "cannot be reached" in err
    lines = [line for line in err.splitlines() if line.startswith("{")]
    assert len(lines) == len(set(lines))
    written = [line for line in watched.logs("fit", "driver").splitlines() if line.startswith("{")]
    assert lines == [line for line in written if '"event": "result"' not in line]
    assert (watched.home / "fit-result/x.npy").exists()


def test_ctrl_c_leaves_the_job_running(watched: Watched) -> None:
    """SIGINT ends `wait` with 130, and the release goes on to its end; so does --timeout with 124."""
    watched.install("fit", values=slow_values())
    watched.until_event("fit", "attempt")
    assert watched.tell("wait", "fit", "--timeout", "1")[0] == 124
    with _started(watched, "wait", "fit") as typed:
        typed.until_follows()
        typed.process.send_signal(signal.SIGINT)
        code, _, err = typed.end(30)
    assert code == 130
    assert "fit goes on" in err
    assert watched.exit_code("fit") == 0


def test_a_driver_that_cannot_start_is_stopped(watched: Watched) -> None:
    """An image that is not there: `status` says so, `wait` stops the release after deadlines.start with code 3."""
    watched.install("fit", "image.tag=none", "image.pullPolicy=Never", "deadlines.start=15")
    watched.until_status("fit", "is not on the node, and image.pullPolicy is Never", 180)
    code, told = watched.tell("wait", "fit")
    assert code == 3, told
    assert "deadlines.start is 15 s" in told
    watched.no_pods_in(60)
    for command in ("wait", "status"):
        code, told = watched.tell(command, "fit")
        assert (code, "deadlines.start is 15 s" in told) == (3, True), told


def test_a_driver_that_vanishes_is_no_driver_that_cannot_start(watched: Watched, kubectl: Kubectl) -> None:
    """A driver that ran for longer than deadlines.start loses its pod: `wait` follows the next one to the end."""
    watched.install("fit", "deadlines.start=5", values=slow_values())
    watched.until_event("fit", "progress")
    began = time.time()
    with _started(watched, "wait", "fit") as typed:
        typed.until_follows()
        wait_until("it runs for longer than deadlines.start", lambda: time.time() > began + 7)
        kubectl("delete", "pod", *watched.pods("fit", "driver"), "--force", "--grace-period=0")
        code, _, err = typed.end()
    assert code == 0, err
    assert "a new driver is awaited" in err


def test_workers_without_a_place_do_not_outlive_the_driver(watched: Watched) -> None:
    """The driver ends with bad options while its workers wait for a device: `wait` says 2, and no pod is left."""
    watched.install("fit", "job.max_iterations=0", "--skip-schema-validation", values=NO_DEVICE)
    watched.until_status("fit", "Insufficient example.com/none", 180)
    code, told = watched.tell("wait", "fit")
    assert code == 2, told
    watched.no_pods_in(60)
    code, told = watched.tell("cancel", "fit")
    assert (code, "has ended already (exit code 2)" in told) == (0, True)


def test_logs_of_a_killed_driver(watched: Watched, kubectl: Kubectl) -> None:
    """A driver that is killed in its pod: `logs --previous` is its log, `status` tells of it; all roles have logs."""
    watched.install("fit", values=slow_values())
    watched.until_event("fit", "progress")
    (pod,) = watched.pods("fit", "driver")
    kubectl("exec", pod, "-c", "driver", "--", "python", "-c", KILL, check=False)
    wait_until("a new driver", lambda: set(watched.pods("fit", "driver")) - {pod})
    assert '"event": "attempt"' in watched.tell("logs", "fit", "--previous")[1]
    watched.until_status("fit", "(exit code 137)", 30)
    assert '"event": "joined"' in watched.tell("logs", "fit", "--worker", "1")[1]
    assert '"event": "listening"' in watched.tell("logs", "fit", "--role", "scheduler", "--tail", "3")[1]
    assert "fit-workers" in watched.tell("logs", "fit", "--role", "workers")[1]


def test_a_run_is_fetched_and_goes_on_here(watched: Watched, claim: Claim, tmp_path: Path) -> None:
    """Fetched with its journal after a cancel, a run goes on on this machine, and ends with the cluster's bits."""
    watched.install("fit", f"run.claim.name={claim}", values=slow_values())
    watched.until_event("fit", "progress", count=2)
    assert watched.tell("fetch", "fit", str(tmp_path / "early"))[0] == 0
    assert not (tmp_path / "early/result.json").exists()
    code, told = watched.tell("cancel", "fit")
    assert code == 0, told
    assert "all is saved" in told
    code, told = watched.tell("fetch", "fit", str(tmp_path / "run"), "--journal")
    assert code == 0, told
    assert watched.tell("fetch", "fit", str(tmp_path / "run"))[0] == 2
    (tmp_path / "slow.py").write_text(SLOW)
    options = yaml.safe_load((tmp_path / "run/options.yaml").read_text())
    done = _minimize(tmp_path, "--config", "run/options.yaml", "--run", "run", "--workers", "0")
    assert "replayed from the journal" in done
    _minimize(tmp_path, "--problem", options["problem"], "--run", "alone", "--workers", "0")
    assert np.array_equal(np.load(tmp_path / "run/x.npy"), np.load(tmp_path / "alone/x.npy"))


def _minimize(folder: Path, *options: str) -> str:
    line = [sys.executable, "-c", COMMAND, "minimize", *options]
    environment = {**os.environ, "SLOW_SECONDS": "0", "PYTHONPATH": str(folder)}
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_helper_pod_is_left(watched: Watched, claim: Claim, kubectl: Kubectl, tmp_path: Path) -> None:
    """After a fetch, and after one that failed, the pod that read the run folder is gone."""
    watched.install("fit", "job.data=digits", f"run.claim.name={claim}")
    assert watched.exit_code("fit") == 0
    (tmp_path / "file").write_text("")
    assert watched.tell("fetch", "fit", str(tmp_path / "file/below"))[0] == 2
    assert watched.tell("fetch", "fit", str(tmp_path / "run"))[0] == 0
    assert json.loads((tmp_path / "run/result.json").read_text())["success"]
    get = ("get", "pods", "-l", "app.kubernetes.io/component=fetch", "-o", "name")
    wait_until("no helper is left", lambda: not kubectl(*get).strip(), 60)


def test_scratch_is_gone(watched: Watched) -> None:
    """A run folder on scratch space cannot be fetched once its driver has ended; the answer says what keeps it."""
    watched.install("fit", "job.data=digits")
    assert watched.exit_code("fit") == 0
    code, told = watched.tell("fetch", "fit")
    assert code == 2
    assert "set run.s3 or run.claim" in told


def test_a_person_without_rights(
    watched: Watched, kubectl: Kubectl, install: Callable[..., str], tmp_path: Path
) -> None:
    """Who may not read Jobs is told which verb on what to ask for, in one line; so is who names no release."""
    install("fit", "suspend=true")
    assert "did you mean 'fit'?" in watched.tell("status", "fti")[1]
    kubectl("create", "serviceaccount", "jane")
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    token = kubectl("create", "token", "jane").strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    (tmp_path / "jane").write_text(yaml.safe_dump(config))
    code, told = watched.tell("status", "fit", "--kubeconfig", str(tmp_path / "jane"))
    assert code == 2
    assert "may not list jobs in namespace" in told
    assert "the verb 'list' on 'jobs'" in told
    assert told.count("\n") == 1
