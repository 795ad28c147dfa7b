"""What tests of lost workers compare with, and a worker that hangs."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from faulty import Watched

from jobs.minimize import Objective


def serial(problem: Watched, theta: np.ndarray) -> tuple[float, bytes]:
    """Return loss and gradient's bytes of this process alone, and leave no traces of that."""
    with Objective(None, problem) as objective:
        loss, grad = objective(theta)
    for trace in Path(problem.folder).glob("*-*"):
        trace.unlink()
    return loss, grad.tobytes()


@contextlib.contextmanager
def frozen(process: int) -> Iterator[None]:
    """Stop a worker's process, and end it afterwards."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # its nanny may have ended it
            os.kill(process, signal.SIGKILL)
