"""What programs write to a terminal."""

from __future__ import annotations

import contextlib
import os


def read_all(terminal: int) -> bytes:
    """Return all that was written to a terminal whose other end is closed by now, and close it."""
    text = b""
    with contextlib.suppress(OSError):  # how Linux ends what is read of a terminal
        while part := os.read(terminal, 65536):
            text += part
    os.close(terminal)
    return text
