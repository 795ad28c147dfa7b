"""Objectives that fork, for workers to import."""

from __future__ import annotations

import os
import signal
import time


def forks(params):
    """Fork without an end of the child's own, and return whether it ended while this process waited for it."""
    child = os.fork()
    if child == 0:
        return 0.5
    for _ in range(600):
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return 1.0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 0.0


def forks_and_raises(params):
    """Fork, raise in the child, and return whether that ended."""
    value = forks(params)
    if value == 0.5:
        raise ValueError("in the child")
    return value
