"""The text of `dask-jobs` without a command, and shared parts of all help; without click, which is slow to import."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence

WIDTH = 110
"""Maximum columns: longer lines are hard to read."""
EXIT_CODES = {
    "0": "done",
    "1": "the user's code failed",
    "2": "bad options or data",
    "3": "the cluster failed (try again)",
    "4": "stopped, all saved (the same command resumes it)",
}
"""A job's exit codes."""


def overview(about: str, commands: Mapping[str, Mapping[str, str]], examples: Sequence[str], notes: str) -> str:
    """Return the text.

    Args:
        about: one line on the program.
        commands: title of a group -> its commands, as name -> line of help.
        examples: command lines.
        notes: text below the examples.
    """
    width = min(shutil.get_terminal_size().columns, WIDTH)
    lines = ["usage: dask-jobs COMMAND [options]", "", about]
    column = max(len(name) for rows in commands.values() for name in rows) + 2
    for title, rows in commands.items():
        lines += ["", *textwrap.wrap(f"{title}:", width), *_rows(rows, column, width)]
    lines += ["", "examples:", *(f"  {line}" for example in examples for line in folded(example, width - 2))]
    codes = ", ".join(f"{code} {text}" for code, text in EXIT_CODES.items())
    lines += ["", notes, *textwrap.wrap(f"exit codes: {codes}", width)]
    return "\n".join(lines) + "\n"


def _rows(rows: Mapping[str, str], column: int, width: int) -> list[str]:
    lines = []
    for name, text in rows.items():
        first = f"  {name:<{column}}"
        rest = " " * len(first)
        lines += textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return lines


def folded(example: str, width: int) -> Iterator[str]:
    """Yield the lines of a long command line with shell continuations; later lines begin with an option."""
    line, *options = example.split(" --")
    for option in options:
        if len(f"{line} --{option} \\") > width:
            yield f"{line} \\"
            line = f"{'':6}--{option}"
        else:
            line += f" --{option}"
    yield line
