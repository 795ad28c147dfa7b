"""What any process prints on this terminal goes above what is live there: also workers', and C libraries'."""

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
"""Lines are shown together when so much time has passed: what is live is drawn anew after each."""


class OutputCapture:
    """Takes over what goes to the terminal through this process's and its children's standard output and error.

    They get the end of a terminal of our own, so that lines come at once, as they would on the real one. What leads
    elsewhere, such as into a file, stays as it is. Use `terminal` to write to the real one.

    Args:
        show: called, in a thread, with whole lines.

    Attributes:
        terminal: a file that writes to the real terminal, where standard error led to.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self.terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding, errors="replace")
        self._kept: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)

    def start(self) -> None:
        """Take over."""
        self._master, slave = os.openpty()
        _make_plain(slave)
        with contextlib.suppress(OSError):
            termios.tcsetwinsize(slave, termios.tcgetwinsize(self.terminal.fileno()))
        sys.stdout.flush()
        for output in OUTPUTS:
            if os.isatty(output):
                self._kept[output] = os.dup(output)
                os.dup2(slave, output)
        os.close(slave)  # the outputs have it, and the children that inherit them
        self._thread.start()

    def stop(self) -> None:
        """Give back, and show what has come by now."""
        sys.stdout.flush()
        sys.stderr.flush()
        for output, kept in self._kept.items():
            os.dup2(kept, output)
            os.close(kept)
        self._kept.clear()
        # After the outputs are given back: the thread shows what is still in the buffer, and then it is over.
        self._ended.set()
        self._thread.join()
        os.close(self._master)

    def _read(self) -> None:
        """Show lines as they come, and in the end also what is none."""
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
        """Return what has come, waiting for it at most so long; nothing also when no process is there to write."""
        try:
            ready, _, _ = select.select([self._master], [], [], seconds)
            return os.read(self._master, 65536) if ready else b""
        except OSError:  # Linux: EIO while no process has the other end open; one may open it again
            self._ended.wait(seconds)
            return b""


def _make_plain(terminal: int) -> None:
    """Let a terminal pass on what is written as it is."""
    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST  # it would make two characters of each newline
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _as_seen(lines: bytes) -> str:
    """Return lines as a terminal shows them: of one that went back to its beginning, what came last."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines.decode(errors="replace").split("\n"))
