"""The entry of the command line: it imports the program where Ctrl-C is expected."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.errors import Stopped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors and Ctrl-C are one line on standard error."""
    try:
        from jobs import program

        return program.run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        sys.stderr.write("dask-jobs: error: interrupted; the same command starts it, or goes on\n")
        return Stopped.exit_code
