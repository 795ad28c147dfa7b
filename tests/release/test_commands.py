"""The release commands' lines: what is typed wrong is one line that says what is right; help teaches by examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake import Fake
from situation import run

from jobs.errors import InputError
from jobs.program import RELEASE_COMMANDS
from jobs.release import commands
from jobs.release.actions.logs import pods_of
from jobs.release.api.objects import name
from jobs.release.api.snapshot import INSTANCE
from jobs.release.arguments import ClusterOptions


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("logs", [], "the following arguments are required: RELEASE"),
        ("status", ["runs/x"], "runs/x is a path, and no release's name: dask-jobs show runs/x shows a run's state"),
        ("wait", ["s3://bucket/runs/x"], "s3://bucket/runs/x is a path, and no release's name: dask-jobs show s3://"),
        ("status", ["fit", "--jsn"], "--jsn: there is no such option; did you mean '--json'?"),
        ("status", ["fit", "other"], "unrecognized arguments: other"),
        ("wait", ["fit", "--timeout", "soon"], "argument --timeout: 'soon' must be a positive number of seconds"),
        ("wait", ["fit", "--timeout", "-1"], "argument --timeout"),
        ("logs", ["fit", "--role", "drivr"], "argument --role: invalid choice: 'drivr'"),
        ("logs", ["fit", "--worker", "x"], "'x' must be a whole number"),
        ("logs", ["fit", "--worker", "1", "--role", "driver"], "--worker 1 and --role driver exclude each other"),
        ("logs", ["fit", "--previous", "--follow"], "--previous is for the log of an earlier driver"),
        ("fetch", ["fit", "--force=1"], "argument --force: ignored explicit argument '1'"),
        ("plan", ["tunes"], "'tunes' is no job; did you mean 'tune'?"),
    ],
)
def test_wrong_command_lines(command: str, arguments: list[str], message: str) -> None:
    """A wrong command line is an InputError before any cluster is asked."""
    with pytest.raises(InputError) as told:
        getattr(commands, command)(arguments)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("command", RELEASE_COMMANDS)
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help ends with code 0 and shows examples; all commands that have a line of help exist."""
    with pytest.raises(SystemExit) as end:
        getattr(commands, command)(["--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert f"usage: dask-jobs {command}" in told
    assert f"  dask-jobs {command} " in told


def test_options_between_positionals(tmp_path: Path) -> None:
    """A folder after an option is read as the folder: the line is right, and fails at its kubeconfig only."""
    missing = str(tmp_path / "none")
    with pytest.raises(InputError, match="there is no kubeconfig"):
        commands.fetch(["c1", "-n", "lab", "run1", "--kubeconfig", missing])
    with pytest.raises(InputError, match="unrecognized arguments: run2"):
        commands.fetch(["c1", "-n", "lab", "run1", "run2"])


@pytest.mark.parametrize("command", ["status", "wait", "logs", "cancel", "fetch"])
def test_no_kubeconfig(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kubeconfig each command says so in one line."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InputError, match="there is no kubeconfig at"):
        getattr(commands, command)(["fit"])


def test_which_pods_have_a_roles_logs() -> None:
    """Of workers the newest pod of each index, by number; of the driver all; what is not there is said."""
    found = run("running")
    assert [name(pod)[:-6] for pod in pods_of(found, "workers", None)] == [
        "fit-workers-0123abcd-0",
        "fit-workers-0123abcd-1",
    ]
    assert name(pods_of(found, "workers", 1)[0]).startswith("fit-workers-0123abcd-1")
    assert len(pods_of(run("driver-replaced"), "driver", None)) == 2
    with pytest.raises(InputError, match="--worker is 7, but the workers that have a pod are: 0, 1"):
        pods_of(found, "workers", 7)
    with pytest.raises(InputError, match="the driver has no pod"):
        pods_of(run("insecure"), "driver", None)


def test_a_run_folder_is_no_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` of a run folder leads to `show`, also where its name could be a release's."""
    (tmp_path / "runs/x").mkdir(parents=True)
    (tmp_path / "runs/x/options.yaml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^runs/x is a run folder: dask-jobs show runs/x shows a run's state"):
        commands.status(["runs/x"])
    monkeypatch.chdir(tmp_path / "runs")
    with pytest.raises(InputError, match="there is no kubeconfig.*; x is a run folder here: dask-jobs show x$"):
        commands.status(["x", "--kubeconfig", str(tmp_path / "none")])


def test_all_releases_of_a_namespace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`status` without a name: a line each, and the cause of one that is stuck; `--json` for programs."""

    class Both:
        """A cluster with the objects of two situations."""

        def __init__(self, *situations: str) -> None:
            self._fakes = {one: Fake(one) for one in situations}
            self.namespace, self.now = "team-a", max(fake.now for fake in self._fakes.values())

        def jobs(self, selector: str, *, everywhere: bool = False) -> list[Any]:
            return [self._named(one, job) for one, fake in self._fakes.items() for job in fake.jobs("")
                    if "instance=" not in selector or f"instance={one}," in selector]  # fmt: skip

        def pods(self, selector: str) -> tuple[Any, ...]:
            return next(fake.pods("") for one, fake in self._fakes.items() if f"instance={one}," in selector)

        def _named(self, one: str, job: Any) -> Any:
            metadata = job["metadata"]
            return {**job, "metadata": {**metadata, "labels": {**metadata["labels"], INSTANCE: one}}}

        def __getattr__(self, name: str) -> Any:
            return getattr(self._fakes["no-memory" if name == "warnings" else "running"], name)

    monkeypatch.setattr(ClusterOptions, "connect", lambda _: Both("running", "no-memory"))
    assert commands.status([]) == 0
    head, stuck, running = capsys.readouterr().out.splitlines()
    assert head.split() == ["RELEASE", "PHASE", "WORKERS", "AGE", "PROGRESS", "CAUSE"]
    assert stuck.split()[:2] == ["no-memory", "pending"]
    assert running.split()[:3] == ["running", "running", "2/2"]
    assert "20 of 1,000 iterations (2%)" in running
    assert commands.status(["--json"]) == 0
    assert [one["phase"] for one in json.loads(capsys.readouterr().out)] == ["pending", "running"]
