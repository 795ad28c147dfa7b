"""Lines of a stream of bytes, of bounded length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_LINE_BYTES, CUT = 1 << 24, b"..."
"""Maximum bytes of a followed line, more than any event of ours has, and the end of one that was cut."""


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; the last one may lack it. Longer ones than `MAX_LINE_BYTES` are cut."""
    line = _Line()
    for piece in pieces:
        *ends, rest = piece.split(b"\n")
        for end in ends:
            yield line.take(end) + b"\n"
        line.add(rest)
    if last := line.take():
        yield last


class _Line:
    """The beginning of a line of a log."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # joined once: a sum for each piece would copy all of a long line again and again
        self._size = 0

    def add(self, part: bytes) -> None:
        """Append what comes next."""
        if self._size < MAX_LINE_BYTES:
            self._parts.append(part[: MAX_LINE_BYTES - self._size])
        self._size += len(part)

    def take(self, end: bytes = b"") -> bytes:
        """Return the line with its last part, and begin the next."""
        self.add(end)
        line = b"".join(self._parts) + (CUT if self._size > MAX_LINE_BYTES else b"")
        self._parts, self._size = [], 0
        return line
