"""`dask-jobs wait` on a real cluster leaves the result in the folder where it was typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from release import Claim, Kubectl
from watched import COMMAND, SLOW, Watched, slow_values


def _typed(folder: Path, *words: str) -> str:
    """Run `dask-jobs WORDS` on this machine, in `folder`, and return what it prints."""
    environment = {**os.environ, "SLOW_SECONDS": "0", "PYTHONPATH": os.pathsep.join([str(folder), *sys.path[1:]])}
    line = [sys.executable, "-c", COMMAND, *words]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("problem", ["Slow", "Long"])
def test_scratch_is_gone_and_x_is_here(problem: str, watched: Watched, kubectl: Kubectl, tmp_path: Path) -> None:
    """After `wait` on a default release, and with its pods deleted, x is known with the bits of a local run."""
    watched.install("fit", values=slow_values(problem, SLOW_SECONDS="0"))
    code, told = watched.tell("wait", "fit")
    assert code == 0, told
    kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
    assert "scratch space and is lost" in told.splitlines()[-1]
    assert "helm uninstall fit" in told.splitlines()[-2]
    assert "the result is in fit-result (result.json, options.yaml, x.npy)" in told.splitlines()[-3]
    (tmp_path / "slow.py").write_text(SLOW)
    _typed(tmp_path, "minimize", "--problem", f"slow:{problem}", "--run", "alone", "--workers", "0")
    ours, alone = watched.home / "fit-result", tmp_path / "alone"
    assert (ours / "x.npy").read_bytes() == (alone / "x.npy").read_bytes()
    results = [json.loads((folder / "result.json").read_text()) for folder in (ours, alone)]
    for name in ("job", "success", "message", "fun", "nit", "nfev", "parameters", "x"):
        assert results[0][name] == results[1][name]
    assert len(results[0]["run_id"]) == 16
    assert _typed(watched.home, "show", "fit-result").startswith("converged")
    assert _typed(watched.home, "report", "fit-result").strip().endswith("report.html")


def test_a_second_wait_has_the_log_still(watched: Watched, kubectl: Kubectl) -> None:
    """--no-fetch names the command that brings the result; a wait after the end brings it, twice to one folder.

    Once the driver's pod is deleted, nothing brings it, and both commands say so.
    """
    watched.install("fit", values=slow_values(SLOW_SECONDS="0"))
    code, told = watched.tell("wait", "fit", "--no-fetch")
    assert code == 0, told
    summary = "\n".join(line for line in told.splitlines() if not line.startswith("{"))
    assert "/runs/" not in summary
    assert f"dask-jobs wait fit -n {watched.api.namespace}" in summary
    assert not list(watched.home.iterdir())
    for _ in range(2):
        assert watched.tell("wait", "fit")[0] == 0
        assert [path.name for path in watched.home.iterdir()] == ["fit-result"]
    status = watched.tell("status", "fit")[1]
    assert f"dask-jobs wait fit -n {watched.api.namespace} brings the result" in status
    kubectl("delete", "pods", "-l", "app.kubernetes.io/component=driver", "--force", "--grace-period=0")
    assert "the result went with the driver's pod" in watched.tell("status", "fit")[1]
    code, told = watched.tell("wait", "fit")
    assert code == 0, told
    assert "fit-result holds the result of an earlier wait, perhaps of this run" in told.splitlines()[-2]
    assert "the run folder was scratch space, and is lost with the driver's pod" in told.splitlines()[-1]


def test_a_claims_folder_comes_whole(watched: Watched, claim: Claim, kubectl: Kubectl) -> None:
    """From a claim the run folder arrives; somebody's own ./fit-result is left, and a second wait replaces ours."""
    (watched.home / "fit-result").mkdir()
    (watched.home / "fit-result/mine").write_text("mine")
    watched.install("fit", f"run.claim.name={claim}", values=slow_values(SLOW_SECONDS="0"))
    for _ in range(2):
        code, told = watched.tell("wait", "fit")
        assert code == 0, told
        assert "the run folder is in fit-result-2" in told
        assert sorted(path.name for path in watched.home.iterdir()) == ["fit-result", "fit-result-2"]
        (folder,) = {name.partition("/")[0] for name in claim.files()}
        expected = {name.partition("/")[2] for name in claim.files()}
        found = {path.relative_to(watched.home / "fit-result-2").as_posix()
                 for path in (watched.home / "fit-result-2").rglob("*") if path.is_file()}  # fmt: skip
        assert found == {name for name in expected if not name.startswith("journal/")}
        assert (watched.home / "fit-result-2/x.npy").read_bytes() == claim.read(f"{folder}/x.npy")
        (watched.home / "fit-result-2/status.json").write_text("{}")
    assert (watched.home / "fit-result/mine").read_text() == "mine"
    assert np.load(watched.home / "fit-result-2/x.npy").shape == (12,)
    get = ("get", "pods", "-l", "app.kubernetes.io/component=fetch", "-o", "name")
    assert not kubectl(*get).strip()


def test_a_failed_runs_folder_comes_too(watched: Watched, claim: Claim) -> None:
    """A run that failed with a claim is brought as far as it is; its code and its log's command are told as ever."""
    watched.install("fit", f"run.claim.name={claim}", values=slow_values("Failing"))
    code, told = watched.tell("wait", "fit")
    assert code == 1, told
    assert "no such row" in told
    assert "what there is of the run folder is in fit-result" in told
    assert json.loads((watched.home / "fit-result/status.json").read_text())["exit_code"] == 1
    assert f"next: dask-jobs logs fit -n {watched.api.namespace}" in told
