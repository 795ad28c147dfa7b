"""The exceptions of this package, with their exit codes.

    JobError
    ├── UserCodeError      1  the user's own code failed or broke its contract
    ├── InputError         2  bad options, data, software or run folder; found before work begins
    │   ├── DataError      2  the data: missing, truncated, wrong format, labels out of range
    │   └── AccessError    2  the store refuses the credentials; once an attempt has begun a ClusterError
    ├── ClusterError       3  workers, scheduler or storage failed; worth another attempt
    │   └── TooFewWorkers  3  they did not join before a timeout; nothing was lost yet
    └── Stopped            4  a signal or a deadline ended the job; all is saved
        └── Superseded     4  a later attempt has taken over the run folder

The text of an error has the value, the rule, and the remedy; the command line prints it as one line. An argument is
named by `argument("l1")`: in Python the text has `l1`, on the command line `--l1`.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from jobs.formatting import printable_line, printable_lines

MARK = "\ue000"
"""Mark before an argument's name in an error's text; of Unicode's private use area, so no other text has it."""
ENTRY = "\ue001"
"""Mark between an argument's name and that of an entry of it."""
MARKED = re.compile(rf"{MARK}(\w+)(?:{ENTRY}(\w+))?")
IN_PYTHON = {"give the same command again": "make the same call again", "the same command": "the same call"}
"""Phrases of the command line's, with those for a caller in Python."""
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""Exceptions of using what was read from a damaged file, or one of another version."""
_command_line = False


class JobError(Exception):
    """Base of all errors that end a job in a known way; `exit_code` is the driver's exit status."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, details: str = "") -> None:
        """`message` is one line; `details`, such as a user's traceback, goes to the log and to status.json."""
        super().__init__(message)
        self.details = details

    def __str__(self) -> str:
        """Return the text with arguments in this process's spelling: `l1`, or on the command line `--l1`."""
        return spelled(self.text)

    @property
    def text(self) -> str:
        """The text as it is sent between processes: with the marks of `argument`."""
        return str(self.args[0])

    @property
    def command_line_text(self) -> str:
        """The text with arguments spelled as options."""
        return _spelled(self.text, as_options=True)

    def __reduce__(self) -> tuple[type[JobError], tuple[Any, ...]]:
        """Errors are sent from workers to the driver: keep both texts."""
        return type(self), (self.args[0], self.details)


class UserCodeError(JobError):
    """The user's problem, loss or model raised, or returned something that breaks its contract."""

    exit_code = 1


class InputError(JobError):
    """An option, a path, a version or a run folder that cannot be used; the same command would fail again."""

    exit_code = 2


class DataError(InputError):
    """Data that are missing, truncated, of the wrong format, or out of range."""


class AccessError(InputError):
    """A store's refusal of the credentials, or of what they may do; they may expire in the midst of a job."""


class ClusterError(JobError):
    """Scheduler, workers or storage were lost, after retries; the same command may succeed later and loses nothing."""

    exit_code = 3


class TooFewWorkers(ClusterError):
    """The workers that the job needs did not join before a timeout."""


class Stopped(JobError):
    """A signal or a deadline ended the job after everything was saved; the same command resumes it."""

    exit_code = 4


class Superseded(Stopped):
    """A later attempt has taken over the run folder; this one must no longer write."""


def as_ours(error: JobError) -> JobError:
    """Return the error as one of this module's classes: a user's may have another exit code, that of a success too."""
    kind: type[JobError] = next(kind for kind in type(error).__mro__ if kind.__module__ == __name__)
    if kind is type(error):
        return error
    return kind(str(error.args[0]) if error.args else "", str(getattr(error, "details", "")))


def print_error(error: JobError) -> int:
    """Write an error to standard error, one line, the user's traceback before it, and return its exit code."""
    if error.details and error.exit_code == 1:
        sys.stderr.write(printable_lines(error.details.rstrip()) + "\n")
    sys.stderr.write(f"dask-jobs: error: {printable_line(error.command_line_text)}\n")
    return error.exit_code


def print_note(text: str) -> None:
    """Write a note of this program to standard error, as one line."""
    sys.stderr.write(f"dask-jobs: {printable_line(text)}\n")


def argument(name: str, entry: str = "") -> str:
    """Return an argument's name for the text of a JobError, such as `max_iterations`: marked, translated when shown.

    Args:
        name: of the argument.
        entry: of one that is a dict: `options.disp`, or on the command line `--options disp`.
    """
    return MARK + name + (ENTRY + entry if entry else "")


@contextlib.contextmanager
def command_line() -> Iterator[None]:
    """Show arguments as options within, `--max-iterations`: this process is a command's. A decorator, too."""
    global _command_line  # noqa: PLW0603  one process has one spelling, in all its threads
    before, _command_line = _command_line, True
    try:
        yield
    finally:
        _command_line = before


def spelled(text: str) -> str:
    """Return a text with the arguments that `argument` marked in this process's spelling: `l1`, or `--l1`.

    In Python, "the same command" is "the same call".
    """
    return _spelled(text, as_options=_command_line)


def _spelled(text: str, *, as_options: bool) -> str:
    def name(match: re.Match[str]) -> str:
        if as_options:
            return f"--{match[1].replace('_', '-')}" + (f" {match[2]}" if match[2] else "")
        return match[1] + (f".{match[2]}" if match[2] else "")

    text = MARKED.sub(name, text)
    for phrase, other in () if as_options else IN_PYTHON.items():
        text = text.replace(phrase, other)
    return text


def nearest(given: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the entry of `known` nearest to `given`, or `""` if none is near."""
    by_letters = {_letters(name): name for name in known}
    matches = difflib.get_close_matches(_letters(given), by_letters, n=1, cutoff=0.5)
    return f"; did you mean {by_letters[matches[0]]!r}?" if matches else ""


def _letters(name: str) -> str:
    """Return a name's letters and digits, in lower case: by these LBFGS is nearer to L-BFGS-B than to BFGS."""
    return "".join(letter for letter in name.lower() if letter.isalnum())
