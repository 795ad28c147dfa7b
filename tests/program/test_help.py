"""Help of every command, on terminals of any width, and the shells' completion."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main
from jobs.program import COMMANDS


def _help(words: list[str], columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    with contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("command", ["", *(name for group in COMMANDS.values() for name in group)])
def test_help_fits_the_terminal(
    command: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Help has one form for all commands: usage, options, examples that can be typed; no line is longer than asked."""
    text = _help([command] if command else [], columns, capsys, monkeypatch)
    assert text.startswith(f"usage: dask-jobs {command or 'COMMAND'}")
    assert "\nexamples:\n  " in text
    assert text.isascii()
    assert not text.endswith("\n\n")
    notes = ("the run folder's own name", "goes on here", "only the summary", "the driver before")
    assert not [line for line in text.splitlines() if len(line) > min(columns, 110) and not line.endswith(notes)]


@pytest.mark.parametrize(
    ("job", "first"),
    [("alexnet", "the images:"), *((job, "what to compute:") for job in ("minimize", "train", "tune"))],
)
def test_options_stand_in_groups(
    job: str, first: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job's help says what is computed before where; no value is shown as a type of Python's."""
    text = _help([job], 80, capsys, monkeypatch)
    titles = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[0] == first
    assert titles[-5:] == ["where it runs:", "where results go:", "options:", "examples:", "exit codes:"]
    for shown in ("--run FOLDER", "--deadline SECONDS", "--workers N ", "--threads N ", "(default: 60)"):
        assert shown in text
    for name in (" int", " str", " float", " list", " dict"):
        assert f"--workers{name}" not in text


EXPECTED = [
    (
        "dask-jobs ''",
        {
            "alexnet",
            "minimize",
            "train",
            "tune",
            "check",
            "list",
            "show",
            "compare",
            "report",
            "predict",
            "rerun",
            "plan",
            "status",
            "wait",
            "logs",
            "cancel",
            "fetch",
        },
    ),
    ("dask-jobs sta", {"status"}),
    ("dask-jobs minimize --dt", {"--dtype"}),
    ("dask-jobs minimize --l2 1 --method trust-n", {"trust-ncg"}),
    ("dask-jobs minimize --on-nan ''", {"fail", "inf"}),
    ("dask-jobs tune --sampler q", {"qmc"}),
    ("dask-jobs tune --direction maximize,mi", {"maximize,minimize"}),
    ("dask-jobs tune --no-i", {"--no-isolate"}),
    ("dask-jobs logs fit --role ''", {"driver", "scheduler", "workers"}),
    ("dask-jobs fetch --jo", {"--journal"}),
    ("dask-jobs list --output j", {"json"}),
    ("dask-jobs compare runs/a --output h", {"html"}),
    ("dask-jobs rerun runs/a --co", {"--code"}),
    ("dask-jobs nothing --x", set()),
]


def test_bash_completes(tmp_path: Path) -> None:
    """What bash is given by `_DASK_JOBS_COMPLETE=bash_source` completes commands, options and values."""
    lines = ["source <(_DASK_JOBS_COMPLETE=bash_source dask-jobs)"]
    for words, _ in EXPECTED:
        lines += [f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()"]
        lines += ["_dask_jobs_completion dask-jobs", 'echo "${COMPREPLY[*]}"']
    (tmp_path / "script").write_text("\n".join(lines))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(tmp_path / "script")],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = [set(line.split()) for line in done.stdout.splitlines()]
    assert told == [expected for _, expected in EXPECTED], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_their_script(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripts of zsh and fish ask this program; what they get has each command's line of help."""
    monkeypatch.setenv("_DASK_JOBS_COMPLETE", f"{shell}_source")
    assert main([]) == 0
    assert f"_DASK_JOBS_COMPLETE={shell}_complete" in capsys.readouterr().out
    monkeypatch.setenv("_DASK_JOBS_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "dask-jobs mini")
    monkeypatch.setenv("COMP_CWORD", "1" if shell == "zsh" else "mini")
    assert main([]) == 0
    assert "minimize a loss summed over much data" in capsys.readouterr().out
