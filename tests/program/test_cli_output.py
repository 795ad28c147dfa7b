"""What commands print: to a reader that ends early, on options that jobs do not share, on a run without a driver."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main

DASK_JOBS = [sys.executable, "-c", "import sys; from jobs.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("arguments", [["--help"], ["tune", "--help"], ["show", "--help"], ["wait", "--help"]])
def test_a_reader_that_ends_early(arguments: list[str]) -> None:
    """A closed pipe ends a command without an error, whatever it still had to write."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*DASK_JOBS, *arguments], stdout=write, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def _help(job: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main([job, "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_only_minimize_works_without_workers(capsys: pytest.CaptureFixture[str]) -> None:
    """`--workers 0` is in the help of the one job that takes it, whose own groups still come first."""
    assert "0: no cluster, all in this process" not in _help("tune", capsys)
    text = _help("minimize", capsys)
    assert "0: no cluster, all in this process" in text
    assert "maximum iterations (TNC, COBYLA: evaluations)" in text
    assert text.index("what to compute:") < text.index("how to minimize:") < text.index("where it runs:")


def test_a_summary_has_no_blanks_at_the_ends_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into a pipe go the texts alone; the log says once which the run folder is."""
    run = str(tmp_path / "run")
    assert main(["minimize", "--max-iterations", "2", "--workers", "0", "--run", run, "--progress", "json"]) == 0
    printed = capsys.readouterr()
    assert f"run folder  {run}" in re.sub("  +", "  ", printed.out)
    assert [line for line in printed.out.splitlines() if line != line.rstrip()] == []
    first = json.loads(printed.err.splitlines()[0])
    assert (first["event"], first["message"]) == ("run folder", run)
