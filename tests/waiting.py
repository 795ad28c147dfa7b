"""Waiting for what another process or thread does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any


def until(
    condition: Callable[[], object],
    *,
    process: subprocess.Popen[Any] | None = None,
    log: Callable[[], object] = lambda: None,
    seconds: float = 240,
) -> None:
    """Wait until a condition holds.

    Args:
        condition: asked again and again.
        process: must not end before.
        log: called to say what happened instead.
        seconds: to wait at most; many, since a machine may be busy.

    Raises:
        AssertionError: it did not hold in time, or the process has ended.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, log() or "the process has ended"
        assert time.monotonic() < deadline, log()
        time.sleep(0.02)
