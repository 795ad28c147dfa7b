"""A torch problem by the command line: a run that is killed goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from waiting import until

from jobs.minimize.journal_log import MAGIC
from jobs.storage import Storage, open_storage

JOB = """
from torch import nn
from jobs.minimize.torch import problem as torch_problem
import torch_models

def problem():
    return torch_problem(torch_models.digits, nn.CrossEntropyLoss(), "digits", dtype="float64", block_rows=256)
"""


def run(folder: Path, *arguments: str, **streams) -> subprocess.Popen:
    line = [sys.executable, "-c", "from jobs.cli import main; raise SystemExit(main())", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.Popen(line, cwd=folder, env=environment, text=True, **streams)


def test_a_killed_run_goes_on_with_the_same_bits_and_has_a_report(tmp_path):
    """The command line runs it on workers; SIGKILL loses nothing: the same command has the bits of a whole run."""
    (tmp_path / "my_torch_model.py").write_text(JOB)
    command = ("minimize", "--problem", "my_torch_model:problem", "--method", "trust-krylov", "--l2", "1")
    assert run(tmp_path, *command, "--workers", "0", "--run", "whole").wait(300) == 0
    storage = open_storage(tmp_path / "killed")
    killed = run(tmp_path, *command, "--workers", "2", "--run", "killed")
    try:
        until(lambda: _records(storage) > 3)
    finally:
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
    assert run(tmp_path, *command, "--workers", "2", "--run", "killed").wait(300) == 0
    assert (tmp_path / "killed/x.npy").read_bytes() == (tmp_path / "whole/x.npy").read_bytes()
    assert run(tmp_path, "report", "killed").wait(120) == 0
    assert (tmp_path / "killed/report.html").stat().st_size > 10_000
    result = json.loads((tmp_path / "killed/result.json").read_text())
    assert result["method"] == "trust-krylov"


def _records(storage: Storage) -> int:
    with storage.read_log("journal/0001") as stream:
        return stream.read().count(MAGIC) - 1  # the log itself begins with one
