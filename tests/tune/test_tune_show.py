"""`dask-jobs show` of a search in all its states, and what its summary names."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import cli
from jobs.commands import write_report
from jobs.errors import Stopped, UserCodeError
from jobs.storage import open_storage
from jobs.tune.options import Options


def _show(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    return cli.main(["show", str(run)]), capsys.readouterr().out


def test_a_search_that_is_done(studies: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary has the best trial, the counts, where tracebacks and the report are, and what is next."""
    from trials import fails

    result = studies(fails).run(trials=8)
    run = tmp_path / "run"
    code, out = _show(run, capsys)
    assert code == 0
    assert f"best (largest)  {result['best']['value']:.10g} (trial {result['best']['number']})" in out
    assert f"{result['trials']['failed']} failed" in out
    assert re.search(rf"tracebacks +{run}/failures/", out)
    assert re.search(r"again +the same command with --retry failed, .*: \d+ trial", out)
    assert f"dask-jobs report {run}" in out
    assert "report.html" not in out
    write_report(open_storage(run))
    assert f"{run}/report.html" in _show(run, capsys)[1]


def test_hyperparameters_control_no_terminal(studies: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line break or an escape sequence in a hyperparameter is shown, and does nothing."""
    from trials import fails

    studies(fails).run(trials=8)
    file = tmp_path / "run/result.json"
    result = json.loads(file.read_bytes())
    result["best"]["params"] = {"na\nme": "va\nlue\x1b[31m"}
    file.write_text(json.dumps(result))
    code, out = _show(tmp_path / "run", capsys)
    assert code == 0
    assert re.search(r"^  na\\nme +va\\nlue\\x1b\[31m$", out, re.MULTILINE)


def test_a_search_that_was_stopped(studies: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stopped search has code 4, and shows its error and how far it was, counts and best among it."""
    from trials import sleeps

    with pytest.raises(Stopped):
        studies(sleeps, direction="minimize").run(trials=100_000, deadline=4)
    code, out = _show(tmp_path / "run", capsys)
    assert code == 4
    assert out.startswith("tune stopped, attempt 1: stopped by the deadline of 4 s")
    assert " of 100,000 (" in out
    assert "metrics     best (smallest) " in out
    assert "pruned 0" in out


def test_a_search_that_failed(studies: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search whose trials failed too often has code 1."""
    from trials import leaves

    with pytest.raises(UserCodeError):
        studies(leaves, max_failures=2).run(trials=9)
    code, out = _show(tmp_path / "run", capsys)
    assert code == 1
    assert out.startswith("tune failed, attempt 1: 3 trials have failed (max_failures 2)")
    assert "3 of 9" in out


@pytest.mark.parametrize("progress", [None, {"done": 3, "total": 10, "fraction": 0.3}])
def test_a_search_that_runs(progress: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search that runs has code 4 and shows what there is, before its first trial too; NaN is shown as such."""
    status = {"job": "tune", "state": "running", "attempt": 2, "updated": time.time()}
    metrics = {"best": "nan", "direction": "minimize", "running": 12_000, "pruned": 1}
    status |= {"progress": progress, "metrics": metrics} if progress else {}
    (tmp_path / "options.yaml").write_text(yaml.safe_dump({"job": "tune", **Options().model_dump(mode="json")}))
    (tmp_path / "status.json").write_text(json.dumps(status))
    code, out = _show(tmp_path, capsys)
    assert code == 4
    assert out.startswith("tune running, attempt 2\n")
    assert ("metrics     best (smallest) nan  running 12,000  pruned 1" in out) == bool(progress)
