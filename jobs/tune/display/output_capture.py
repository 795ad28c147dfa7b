"""Captures the terminal output of all processes, also workers and C libraries, and shows it above the live table."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
from collections.abc import Callable

OUTPUTS = (1, 2)
"""File descriptors of standard output and standard error."""
PAUSE_SECONDS = 0.1
"""Interval at which lines are shown together: the live table is redrawn after each time."""


class OutputCapture:
    """Captures the terminal output of this process and its children, on standard output and standard error.

    Both become a pseudo-terminal, so that lines come at once, as they would on the real one. An output that leads
    elsewhere, such as into a file, stays as it is. Use `terminal` to write to the real one.

    Args:
        show: called, in a thread, with whole lines.

    Attributes:
        terminal: a file that writes to the real terminal, that of standard error.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self.terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding, errors="replace")
        self._kept: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)

    def start(self) -> None:
        """Start to capture."""
        self._master, slave = os.openpty()
        _make_plain(slave)
        # A new pseudo-terminal has no size, by which programs would break their lines and bars.
        with contextlib.suppress(OSError):
            termios.tcsetwinsize(slave, termios.tcgetwinsize(self.terminal.fileno()))
        sys.stdout.flush()  # to the real terminal: it was printed before the live table
        for output in OUTPUTS:
            if os.isatty(output):
                self._kept[output] = os.dup(output)
                os.dup2(slave, output)
        os.close(slave)  # the outputs have it, and the children that inherit them
        self._thread.start()

    def stop(self) -> None:
        """Restore the outputs, and show what has come by now."""
        sys.stdout.flush()
        sys.stderr.flush()
        for output, kept in self._kept.items():
            os.dup2(kept, output)
            os.close(kept)
        self._kept.clear()
        # After the outputs are restored: the thread shows what is still in the buffer, and ends.
        self._ended.set()
        self._thread.join()
        os.close(self._master)

    def _read(self) -> None:
        """Show lines as they come, and at the end also an incomplete one."""
        text = b""
        while not self._ended.is_set():
            text += self._part(PAUSE_SECONDS)
            lines, newline, rest = text.rpartition(b"\n")
            if newline:
                self._show(_as_seen(lines))
                text = rest
                self._ended.wait(PAUSE_SECONDS)
        while part := self._part(0.0):
            text += part
        if text:
            self._show(_as_seen(text.removesuffix(b"\n")))

    def _part(self, seconds: float) -> bytes:
        """Return what has come, after so many seconds at most; nothing also while no process has the outputs open."""
        try:
            ready, _, _ = select.select([self._master], [], [], seconds)
            return os.read(self._master, 65536) if ready else b""
        except OSError:  # Linux: EIO while no process has the other end open; one may open it again
            self._ended.wait(seconds)
            return b""


def _make_plain(terminal: int) -> None:
    """Set a terminal to pass on output unchanged."""
    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST  # it would make two characters of each newline
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _as_seen(lines: bytes) -> str:
    """Return lines as a terminal shows them: of one that went back to its beginning, what came last."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines.decode(errors="replace").split("\n"))
