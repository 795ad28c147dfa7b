"""Durations, numbers, sizes, counts and errors as text: one owner for all texts of the program."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from typing import Any, TextIO

LONGEST = 120
"""Maximum characters of a value in an error's text."""
LONGEST_LINE, LINE_END = 2000, 500
"""Maximum characters of an error's line, and those kept of its end, which has the remedy."""
_USERS = re.compile(r"(?<=//)[^\s\"]*@|[^\s\"/:]+:[^\s\"/]*@")
"""The user and the password in a URL; a password may have a `/`."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of what a terminal does not show but does, such as to move or to turn the direction."""
MAX_SECONDS = 1e12
"""Maximum seconds on a clock: Python's durations end at 86 times as many."""
_UNITS = (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1))
"""A unit, its seconds, and the unit that its rest is given in, with its seconds."""


def duration(seconds: float, digits: int | None = None) -> str:
    """Return a duration in its two largest units: `48 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.

    Args:
        seconds: the duration; a negative one counts as 0.
        digits: significant digits of one that is shorter than a minute, as in `1.23 s`; None for whole seconds.
    """
    rounded = max(0, round(seconds))
    for unit, size, smaller, part in _UNITS:
        if rounded >= size:
            rest = rounded % size // part
            return f"{rounded // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{rounded} s" if digits is None else f"{max(0.0, seconds):.{digits}g} s"


def clock(seconds: float) -> str:
    """Return a duration in the form of a clock: `0:01:23`; at most that of `MAX_SECONDS`."""
    return str(timedelta(seconds=round(min(seconds, MAX_SECONDS))))


def number(value: float, digits: int = 6) -> str:
    """Return a number rounded to so many significant digits."""
    return f"{value:.{digits}g}"


def short(value: Any, digits: int) -> str:
    """Return a value, such as a hyperparameter's, printable, with a float rounded to so many significant digits."""
    return number(value, digits) if isinstance(value, float) else printable(str(value))


def printable(text: str) -> str:
    r"""Return a text in which line breaks and what controls a terminal are as in Python's source: `\n`, `\x1b`."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def printable_lines(text: str) -> str:
    r"""Return a text of several lines in which what else controls a terminal is as in Python's source; without colours.

    A progress bar's `\r` is a line break.
    """
    lines = _COLOURS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if lines.isascii() and lines.replace("\n", "").replace("\t", "").isprintable():
        return lines
    return "".join(repr(letter)[1:-1] if _controls(letter) else letter for letter in lines)


def _controls(letter: str) -> bool:
    # \u200c and \u200d join letters of some scripts, and emojis.
    return letter not in "\n\t\u200c\u200d" and unicodedata.category(letter) in _CONTROLS


def without_credentials(text: str) -> str:
    """Return a text without the users and passwords that URLs in it may have."""
    return _USERS.sub("", text)


def printable_line(text: str) -> str:
    """Return a text, such as an error's, printable and on one line; of a long one its beginning and its end."""
    return printable(cut(" ".join(text.split())))


def cut(line: str) -> str:
    """Return a line; of a long one its beginning and its end."""
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - LINE_END]} ... {line[-LINE_END:]}"


def for_stream(text: str, stream: TextIO) -> str:
    """Return foreign lines for a stream: as they are, or on a terminal, which they could control, printable."""
    return printable_lines(text) if stream.isatty() else text


def given(value: object) -> str:
    """Return a value for an error's text, as Python writes it, on one line; of a long one its beginning and its end."""
    try:
        text = " ".join(repr(value).splitlines())
    except Exception:  # noqa: BLE001  an integer of more digits than Python converts, deep nesting, a user's __repr__
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 40]}...{text[-20:]}"


def plural(count: int, noun: str) -> str:
    """Return `1 worker`, `2 workers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def decimal_bytes(count: float) -> str:
    """Return a number of transferred bytes, in powers of ten: `12.3 kB`, `1,234.5 MB`."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def binary_bytes(count: float) -> str:
    """Return a number of bytes of memory, in powers of two as Kubernetes counts them: `512 MiB`, `1.5 GiB`."""
    return f"{count / 2**30:.4g} GiB" if count >= 2**30 else f"{count / 2**20:.4g} MiB"


def one_line(text: object) -> str:
    """Return a text, or an exception's, on one line."""
    return " ".join(error_text(text).split())


def error_line(error: BaseException) -> str:
    """Return an exception's type and all of its text on one line."""
    return " ".join(f"{type(error).__name__}: {error_text(error)}".split())


def error_first_line(error: BaseException) -> str:
    """Return an exception's type, and the first line of its text if it has one."""
    lines = error_text(error).strip().splitlines()
    return type(error).__name__ + (f": {lines[0]}" if lines else "")


def error_text(error: object) -> str:
    """Return an exception's text; an empty one if `__str__`, which may be the user's code, raises."""
    try:
        return str(error)
    # `__str__` of the user's exceptions may raise SystemExit, like any other code of theirs.
    except BaseException:  # noqa: BLE001
        return ""
