"""How a process shows the progress of its job: live on a terminal or in a notebook, as text, as JSON, or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal

from jobs.runs.display.log import ROLE

Asked = Literal["auto", "plain", "json", "none"]
Mode = Literal["terminal", "notebook", "plain", "json", "none"]
_asked: list[Asked] = []
"""The innermost last: a job may run in another's process."""


@contextlib.contextmanager
def using(asked: Asked) -> Iterator[None]:
    """Set the mode of this process; a context manager.

    Args:
        asked: `auto`: live where that can be seen, JSON in a pod, else text; or the mode itself.
    """
    _asked.append(asked)
    try:
        yield
    finally:
        _asked.pop()


def mode() -> Mode:
    """Return the mode of this process."""
    if _asked and (asked := _asked[-1]) != "auto":
        return asked
    if ROLE in os.environ:  # in a pod, whose log `dask-jobs wait` reads
        return "json"
    if kernel():
        return "notebook"
    return "terminal" if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown") else "plain"


def kernel() -> Any:
    """Return IPython's shell in a Jupyter kernel; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython and hasattr(ipython, "get_ipython") else None
    return shell if getattr(shell, "kernel", None) is not None else None
