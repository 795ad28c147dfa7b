"""The train job as people start it, and what its run folder holds then."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from waiting import until

from jobs.cli import main
from jobs.storage import open_storage

COMMAND = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())"]
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parent)}
SLOW = ["--model", "networks:slow", "--data", "networks:data", "--batch-size", "48", "--save-every", "5"]


def run_here(*arguments: str, job: str = "train") -> subprocess.CompletedProcess[str]:
    """Run a job to its end in this process, which has imported TensorFlow: that takes another one 4 seconds of CPU."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        warnings.simplefilter("ignore", DeprecationWarning)  # as in a process of its own, where they are no errors
        code = main([job, *arguments])
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def run_job(*arguments: str, job: str = "train") -> subprocess.CompletedProcess[str]:
    """Run a job to its end, as people start it."""
    return subprocess.run(
        [*COMMAND, job, *arguments],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def start_job(*arguments: str, job: str = "train", **options: Any) -> subprocess.Popen[str]:
    """Start a job; the options are those of Popen."""
    return subprocess.Popen([*COMMAND, job, *arguments], env=os.environ | ENVIRONMENT, text=True, **options)


def until_saved(url: str | Path, process: subprocess.Popen[Any]) -> None:
    """Wait until a run has a complete checkpoint; AssertionError if its driver ends before."""
    until(lambda: any(name.endswith(".json") for name in open_storage(url).list("checkpoints/")), process=process)


def result_of(url: str | Path) -> dict[str, Any]:
    """Return result.json."""
    return json.loads(open_storage(url).read("result.json"))  # type: ignore[no-any-return]


def weights_of(url: str | Path) -> dict[str, bytes]:
    """Return name -> bits of what weights.npz holds."""
    with np.load(io.BytesIO(open_storage(url).read("weights.npz"))) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files}
