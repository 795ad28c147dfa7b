"""The text of `--help`: usage, description, arguments, groups of options, examples, exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobs.command_line.option_help import OTHER
from jobs.command_line.overview import folded

if TYPE_CHECKING:
    from jobs.command_line.command import Command

HYPHEN = "\N{NON-BREAKING HYPHEN}"
"""Replaces a hyphen until lines are broken: textwrap breaks at hyphens, which would split options."""
LEFT_WIDTH = 28
"""Maximum columns of names and metavars; longer ones have a line of their own."""


def write(command: Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write a command's help, whose hyphens are non-breaking."""
    formatter.write_usage(command.path, " ".join(command.collect_usage_pieces(context)), prefix="usage: ")
    for paragraph in (command.help or "").split("\n\n"):
        formatter.write_paragraph()
        formatter.write_text(_unbreakable(" ".join(paragraph.split())))
    sections = _sections(command, context)
    widest = max((len(name) for rows in sections.values() for name, _ in rows), default=0)
    for name, rows in sections.items():
        with formatter.section(name):
            # All groups have one column for texts.
            formatter.write_dl(
                [(left.ljust(min(widest, LEFT_WIDTH)), _unbreakable(right)) for left, right in rows],
                col_max=LEFT_WIDTH,
            )
    if command.examples:
        with formatter.section("examples"):
            for example in command.examples.splitlines():
                formatter.write("".join(f"  {line}\n" for line in folded(example, formatter.width - 2)))
    if command.exit_codes:
        with formatter.section("exit codes"):
            formatter.write_dl([(code, _unbreakable(text)) for code, text in command.exit_codes.items()])


def _sections(command: Command, context: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of arguments and of each group of options."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(context):
        if isinstance(param, click.Argument):
            text = getattr(param, "help", "")
            sections.setdefault("arguments", []).append((param.metavar or "", text))
        elif (record := param.get_help_record(context)) is not None:
            sections.setdefault(getattr(param, "group", OTHER), []).append(record)
    return sections


def _unbreakable(text: str) -> str:
    return text.replace("-", HYPHEN)
