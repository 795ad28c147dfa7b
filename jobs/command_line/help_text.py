"""What `--help` shows of every command: usage, what it does, arguments, groups of options, examples, exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jobs.command_line.command import Command

WIDTH = 110
"""Columns at most: longer lines are hard to read."""
EXIT_CODES = {
    "0": "done",
    "1": "the user's code failed",
    "2": "bad options or data",
    "3": "the cluster failed: try again",
    "4": "stopped, all saved: the same command goes on",
}
"""A job's exit codes."""


def write(command: Command, context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write a command's help."""
    formatter.write_usage(command.path, " ".join(command.collect_usage_pieces(context)), prefix="usage: ")
    for paragraph in (command.help or "").split("\n\n"):
        formatter.write_paragraph()
        formatter.write_text(" ".join(paragraph.split()))
    sections = _sections(command, context)
    widest = max((len(name) for rows in sections.values() for name, _ in rows), default=0)
    for name, rows in sections.items():
        with formatter.section(name):
            # All groups have one column for texts.
            formatter.write_dl([(left.ljust(min(widest, 28)), right) for left, right in rows], col_max=28)
    if command.examples:
        with formatter.section("examples"):
            for example in command.examples.splitlines():
                formatter.write("".join(f"  {line}\n" for line in _folded(example, formatter.width - 2)))
    if command.exit_codes:
        with formatter.section("exit codes"):
            formatter.write_dl(list(command.exit_codes.items()))


def _sections(command: Command, context: click.Context) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of arguments and of each group of options; `options` comes last."""
    sections: dict[str, list[tuple[str, str]]] = {}
    last = []
    for param in command.get_params(context):
        if isinstance(param, click.Argument):
            text = getattr(param, "help", "")
            sections.setdefault("arguments", []).append((param.make_metavar(context), text))
        elif (record := param.get_help_record(context)) is not None:
            group = getattr(param, "group", "options")
            last.append(record) if group == "options" else sections.setdefault(group, []).append(record)
    return {**sections, "options": last}


def _folded(example: str, width: int) -> Iterator[str]:
    """Yield the lines of a command line that is too long for one, as a shell takes them: each begins with an option."""
    line, *options = example.split(" --")
    for option in options:
        if len(f"{line} --{option} \\") > width:
            yield f"{line} \\"
            line = f"{'':6}--{option}"
        else:
            line += f" --{option}"
    yield line
