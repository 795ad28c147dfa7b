"""The words of release commands: where a release is, what is refused, and how wrong commands name the right ones."""

from __future__ import annotations

import pytest

from jobs.cli import main
from jobs.errors import InputError
from jobs.release import commands
from jobs.release.arguments import ClusterOptions

ROLES = "(choose from 'driver', 'scheduler', 'workers')"
HINT = " (a value that starts with '-' is given as --option=-1)"


class _Ran(Exception):
    """What a release command was to do."""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> None:
    """Release commands end where they would ask the cluster; tell which."""

    def stop(self: ClusterOptions) -> None:
        raise _Ran(tuple(self))

    monkeypatch.setattr(ClusterOptions, "connect", stop)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["fit"], (None, None, None)),
        (["fit", "-n", "lab"], ("lab", None, None)),
        (["-nlab", "fit"], ("lab", None, None)),
        (["fit", "-n=lab"], ("lab", None, None)),
        (["fit", "--namespace", "lab", "--context=c", "--kubeconfig", "/k"], ("lab", "c", "/k")),
        (["-n", "a", "-n", "b", "fit"], ("b", None, None)),
        (["fit", "-n", "-1"], ("-1", None, None)),
        (["fit", "-n", "a b"], ("a b", None, None)),
        (["fit", "--"], (None, None, None)),
        (["--", "-fit"], (None, None, None)),
    ],
)
@pytest.mark.usefixtures("ran")
def test_where_a_release_is(words: list[str], where: tuple[str | None, ...]) -> None:
    """A namespace is given in every spelling that kubectl takes, before or after the release."""
    for command in (commands.status, commands.cancel, commands.logs, commands.fetch, commands.wait):
        with pytest.raises(_Ran) as told:
            command(words)
        assert told.value.args[0] == where


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("status", ["fit", "-x"], "-x: there is no such option (dask-jobs status --help lists them)"),
        ("status", ["fit", "-1"], "-1: there is no such option (dask-jobs status --help lists them)"),
        (
            "status",
            ["fit", "--name", "x"],
            "--name: there is no such option; did you mean '--namespace'? (dask-jobs status --help lists them)",
        ),
        ("status", ["fit", "a", "--jsn"], "unrecognized arguments: a --jsn (dask-jobs status --help)"),
        ("cancel", ["--jsn"], "the following arguments are required: RELEASE (dask-jobs cancel --help)"),
        ("status", ["fit", "-n"], "argument -n/--namespace: expected one argument (dask-jobs status --help)"),
        ("status", ["fit", "-n", "--x"], "argument -n/--namespace: expected one argument (dask-jobs status --help)"),
        ("status", ["fit", "--json=1"], "argument --json: ignored explicit argument '1' (dask-jobs status --help)"),
        ("status", ["fit", "--json", "x"], "unrecognized arguments: x (dask-jobs status --help)"),
        (
            "wait",
            ["fit", "--timeout", "inf"],
            "argument --timeout: 'inf' must be a positive number of seconds (dask-jobs wait --help)",
        ),
        ("logs", ["fit", "-fx"], "argument -f/--follow: ignored explicit argument 'x' (dask-jobs logs --help)"),
        ("logs", ["fit", "-f=1"], "argument -f/--follow: ignored explicit argument '1' (dask-jobs logs --help)"),
        ("logs", ["fit", "-fn"], "argument -n/--namespace: expected one argument (dask-jobs logs --help)"),
        (
            "logs",
            ["fit", "-fp"],
            "--previous is for the log of an earlier driver or scheduler: without --follow and workers",
        ),
        (
            "logs",
            ["fit", "--role", "", "--worker", "y"],
            f"argument --role: invalid choice: '' {ROLES} (dask-jobs logs --help)",
        ),
        ("logs", ["fit", "--tail=-1"], "argument --tail: '-1' must be a whole number (dask-jobs logs --help)"),
        ("plan", ["tune", "x"], "unrecognized arguments: x (dask-jobs plan --help)"),
        ("plan", ["--set", "-x"], "argument --set: expected one argument (dask-jobs plan --help)"),
    ],
)
def test_what_release_commands_refuse(command: str, words: list[str], message: str) -> None:
    """Each wrong word is one line, which names the command that helps."""
    with pytest.raises(InputError) as told:
        getattr(commands, command)(words)
    assert str(told.value) == message


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["minimise"],
            "'minimise' is no command; did you mean 'minimize'? (commands: alexnet, minimize, train, tune, check, ",
        ),
        (["--version", "x"], "'--version' is no command (commands: "),
        (["help"], "'help' is no command (commands: "),
        (["--", "show"], "'--' is no command (commands: "),
    ],
)
def test_wrong_commands_name_the_right_ones(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is no command is one line with all commands, and the nearest."""
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"dask-jobs: error: {message}")


@pytest.mark.parametrize("words", [["show"], ["report"], ["show", "a", "b"], ["show", "--x"], ["predict"]])
def test_a_run_is_to_be_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without one run folder, a command of a run folder prints its help, with exit code 2."""
    assert main(words) == 2
    assert capsys.readouterr().out.startswith(f"usage: dask-jobs {words[0]} RUN")
