"""Completion in bash, zsh and fish: commands, options, and values with choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click
from click.shell_completion import CompletionItem, shell_complete

VARIABLE = "_DASK_JOBS_COMPLETE"
"""Environment variable by which a shell requests completion; its value is the shell and the request."""


class _Program(click.Group):
    """The program with its commands, which are made when one of them is completed.

    Args:
        summaries: command -> its line of help.
        load: returns a command by its name.
    """

    def __init__(self, summaries: Mapping[str, str], load: Callable[[str], click.Command]) -> None:
        super().__init__("dask-jobs", params=[click.Option(["--version"], is_flag=True, help="the version")])
        self._summaries = summaries
        self._load = load

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Return a command; None if there is none of that name."""
        return self._load(cmd_name) if cmd_name in self._summaries else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options with this prefix, without loading a command."""
        found = [CompletionItem(name, help=text) for name, text in self._summaries.items()]
        return [item for item in found if item.value.startswith(incomplete)] + click.Command.shell_complete(
            self, ctx, incomplete
        )


def complete(instruction: str, summaries: Mapping[str, str], load: Callable[[str], click.Command]) -> int:
    """Print the completion that a shell requests; return the exit code.

    Args:
        instruction: such as bash_source (the shell's own script) or bash_complete (candidates).
        summaries: command -> its line of help.
        load: returns a command by its name.
    """
    return shell_complete(_Program(summaries, load), {}, "dask-jobs", VARIABLE, instruction)
