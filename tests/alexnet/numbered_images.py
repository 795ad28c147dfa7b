"""Images without files: each says by its pixels which it is."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.images import BadImageError

SIDE = 8


class Numbered:
    """A reader of images whose content is their number; an image is bad if its number ends in the given digits.

    Args:
        bad: the digits.
        log: a folder in which each read leaves a file.
        seconds: that an image takes.
    """

    def __init__(self, bad: str = "none", log: Path | None = None, seconds: float = 0.0) -> None:
        self.bad, self.log, self.seconds = bad, log, seconds

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for number in reversed(numbers):
            if self.log:
                (self.log / f"{number}-{time.time_ns()}").touch()
            time.sleep(self.seconds)
            yield number, b"" if str(number).endswith(self.bad) else struct.pack("<q", number)

    def address(self, number: int) -> str:
        return f"image {number}"

    def begin(self, scratch: str) -> None:
        """Nothing is needed."""

    def close(self) -> None:
        """Nothing was needed."""


def decoder() -> Callable[[bytes, NDArray[np.uint8]], None]:
    """Return what makes an image that repeats its content."""

    def decode(content: bytes, out: NDArray[np.uint8]) -> None:
        if not content:
            raise BadImageError("it is empty")
        out[:] = np.resize(np.frombuffer(content, np.uint8), (SIDE, SIDE, 3))

    return decode


_both = threading.Barrier(2)


def decoder_of_two() -> Callable[[bytes, NDArray[np.uint8]], None]:
    """Return what decodes an image only while another thread of this process decodes another one."""
    decode, in_use = decoder(), threading.Lock()

    def together(content: bytes, out: NDArray[np.uint8]) -> None:
        assert in_use.acquire(blocking=False)
        _both.wait(timeout=30)
        decode(content, out)
        in_use.release()

    return together


def numbers_of(images: NDArray[np.uint8]) -> list[int]:
    """Return which images these are, by their pixels."""
    return [struct.unpack("<q", image.tobytes()[:8])[0] for image in images]
