"""Workers of different processors on one scheduler: who differs is named, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pods import Pods

from jobs.cpu import flags

SCRIPT = str(Path(sys.executable).parent / "dask-jobs")
KERNELS = ("SkylakeX", "Haswell") if "avx512f" in flags() else ("Haswell", "Sandybridge")
"""Of OpenBLAS, which this processor can run."""
LINEAR = ["train", "--example", "linear", "--epochs", "1"]


@pytest.fixture
def mixed(pods: Pods) -> Pods:
    """Return a scheduler with two workers of different kernels."""
    pods.scheduler()
    for kernel in KERNELS:
        pods.worker(kernel, OPENBLAS_CORETYPE=kernel)
    for kernel in KERNELS:
        pods.until(kernel, '"joined"')
    return pods


def _run(pods: Pods, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = ["--scheduler", pods.address, "--workers", "2", "--run", str(pods.folder / "run")]
    environment = os.environ | {"OPENBLAS_CORETYPE": KERNELS[0]}
    line = [SCRIPT, *arguments, *place]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, cwd=pods.folder)


def _result(pods: Pods) -> dict[str, Any]:
    return json.loads((pods.folder / "run" / "result.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("evaluator", ["messages", "futures"])
def test_minimize_warns_and_goes_on(mixed: Pods, evaluator: str) -> None:
    """At the start, in the result, in the report and in the last line."""
    done = _run(mixed, "minimize", "--max-iterations", "5", "--evaluator", evaluator)
    assert done.returncode == 0, done.stderr
    assert f"its BLAS kernels is {KERNELS[1]!r}, not {KERNELS[0]!r}" in done.stderr
    result = _result(mixed)
    assert result["bits"] == "mixed"
    assert [(kind["processes"], kind["BLAS kernels"]) for kind in result["arithmetic"]] == [
        ("the driver, 1 worker", KERNELS[0]),
        ("1 worker", KERNELS[1]),
    ]
    assert done.stdout.splitlines()[-1].startswith("warning: mixed bits: BLAS kernels differed")
    subprocess.run([SCRIPT, "report", str(mixed.folder / "run")], check=True, capture_output=True)
    assert "Arithmetic: mixed" in (mixed.folder / "run" / "report.html").read_text()


def test_tune_warns_and_goes_on(mixed: Pods) -> None:
    """By the message with which a worker is ready."""
    (mixed.folder / "space.yaml").write_text("x: {uniform: [0, 1]}\n")
    (mixed.folder / "objective.py").write_text("def loss(params):\n    return params['x']\n")
    done = _run(mixed, "tune", "--objective", "objective:loss", "--space", "space.yaml", "--trials", "4")
    assert done.returncode == 0, done.stderr
    assert f"its BLAS kernels is {KERNELS[1]!r}, not {KERNELS[0]!r}" in done.stderr
    assert _result(mixed)["bits"] == "mixed"
    assert done.stdout.splitlines()[-1].startswith("warning: mixed bits: BLAS kernels differed")


def test_train_refuses_unless_it_is_said(mixed: Pods) -> None:
    """Exit code 2 with both values; --mixed trains, and records it."""
    done = _run(mixed, *LINEAR)
    assert done.returncode == 2
    assert "computes other bits: its BLAS kernels is" in done.stderr
    assert "or give up equal bits with --mixed" in done.stderr
    done = _run(mixed, *LINEAR, "--mixed")
    assert done.returncode == 0, done.stderr
    assert _result(mixed)["bits"] == "mixed"
    assert done.stdout.splitlines()[-1].startswith("warning: mixed bits: BLAS kernels differed")


def test_portable_workers_elsewhere_must_be_portable(mixed: Pods) -> None:
    """Those of a scheduler are started by others, without the variables."""
    done = _run(mixed, "minimize", "--cpu", "portable")
    assert done.returncode == 2
    assert "does not compute by the instructions of --cpu portable" in done.stderr
