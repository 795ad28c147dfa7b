"""Images without files, each of one value: what takes time and memory is keeping and moving them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.partitions.held import HELD
from jobs.alexnet.partitions.source import Decode


class Numbered:
    """A reader of images whose content is their number."""

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Yield (number, content) of each image."""
        for number in numbers:
            yield number, number.to_bytes(8, "little")

    def address(self, number: int) -> str:
        """Return what an image is called."""
        return f"image {number}"

    def begin(self, scratch: str) -> None:
        """Get ready to read."""

    def close(self) -> None:
        """Free what reading needs."""


def decoder() -> Decode:
    """Return what makes the pixels."""
    return _decode


def _decode(content: bytes, out: NDArray[np.uint8]) -> None:
    out[:] = content[0]


def imported() -> None:
    """Import in a worker's process what its plugin needs."""
    import jobs.alexnet.group.worker  # noqa: F401


def numbers_of(key: str) -> list[int]:
    """Return the numbers of the images that this process holds.

    Raises:
        ArithmeticError: the pixels of one are those of another.
    """
    store = HELD[key].store
    partitions = [part for part in map(store.get, store.numbers()) if part is not None]
    if any(np.any(part.images[:, -1, -1, -1] != part.numbers % 256) for part in partitions):
        raise ArithmeticError("an image has the number of another")
    return [int(number) for part in partitions for number in part.numbers]
