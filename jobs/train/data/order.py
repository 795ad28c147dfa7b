"""The order of rows: which rows a part of a step has, from the seed and the epoch alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InputError, argument

Indices = NDArray[np.int64]
WINDOW_BLOCKS = 16
"""Blocks whose rows are shuffled together."""
BLOCK_BYTES = 1 << 24
MAX_BLOCK_ROWS = 1024
SHUFFLE, HOLD_OUT = 1, 2
"""Uses of the seed, so that two of them never draw the same numbers."""


@dataclass(frozen=True)
class Order:
    """The rows of a data set, dealt to logical parts and shuffled anew in each epoch.

    Each part has a region of the data of its own, consecutive rows, so that the worker that computes it reads no
    others. A region is shuffled in two levels, as a file of millions of rows cannot be read row by row: its blocks,
    then the rows of each `WINDOW_BLOCKS` blocks together. A region of up to so many blocks is shuffled as a whole.

    Attributes:
        rows: of the data.
        parts: logical parts of a step.
        batch: rows of a step, a multiple of `parts`.
        seed: of the shuffles.
        row_bytes: of one row, which decides the size of a block.
        held_out: fraction of each region that is never trained on.
    """

    rows: int
    parts: int
    batch: int
    seed: int
    row_bytes: int
    held_out: float = 0.0

    @property
    def block_rows(self) -> int:
        """Rows of a block: a power of two."""
        fitting = max(min(BLOCK_BYTES // max(self.row_bytes, 1), MAX_BLOCK_ROWS), 1)
        return 1 << (fitting.bit_length() - 1)

    @property
    def share(self) -> int:
        """Rows of one part of a step."""
        return self.batch // self.parts

    def region(self, part: int) -> tuple[int, int]:
        """Return the first row of a part's region, and the row after its last."""
        return part * self.rows // self.parts, (part + 1) * self.rows // self.parts

    def held(self, part: int) -> Indices:
        """Return the rows of a part's region that are held out, in ascending order."""
        return _held(self, part)

    def counts(self) -> tuple[int, int]:
        """Return the number of rows that are trained on, and of those that are held out."""
        held = sum(len(self.held(part)) for part in range(self.parts))
        return self.rows - held, held

    def check_held_out(self) -> None:
        """Check that rows are held out, where a fraction of them is to be.

        Raises:
            InputError: none is.
        """
        if self.held_out and not self.counts()[1]:
            raise InputError(
                f"{argument('validation')} is {self.held_out:g} of {self.rows:,} rows, which is none of a part's: give "
                "more, or 0"
            )

    @property
    def steps(self) -> int:
        """Steps of an epoch; in the last ones some parts may be short, or have no rows."""
        largest = max(self.region(part)[1] - self.region(part)[0] - len(self.held(part)) for part in range(self.parts))
        return -(-largest // self.share)

    def of(self, epoch: int, part: int) -> Indices:
        """Return the rows of a part in an epoch, in the order in which they are trained on."""
        return _shuffled(self, epoch, part)

    def at(self, step: int, part: int) -> Indices:
        """Return the rows of a part of a step; steps count from the start of the run."""
        epoch, offset = divmod(step, self.steps)
        return self.of(epoch, part)[offset * self.share : (offset + 1) * self.share]


@functools.lru_cache(maxsize=256)
def _held(order: Order, part: int) -> Indices:
    start, stop = order.region(part)
    count = round((stop - start) * order.held_out)
    chosen = np.random.default_rng((order.seed, HOLD_OUT, part)).permutation(stop - start)[:count]
    return np.sort(chosen) + start


@functools.lru_cache(maxsize=256)
def _shuffled(order: Order, epoch: int, part: int) -> Indices:
    random = np.random.default_rng((order.seed, SHUFFLE, epoch, part))
    start, stop = order.region(part)
    blocks = np.array_split(np.arange(start, stop), range(order.block_rows, stop - start, order.block_rows))
    blocks = [blocks[index] for index in random.permutation(len(blocks))]
    windows = [np.concatenate(blocks[at : at + WINDOW_BLOCKS]) for at in range(0, len(blocks), WINDOW_BLOCKS)]
    rows = np.concatenate([random.permutation(window) for window in windows])
    held = order.held(part)
    return rows[~np.isin(rows, held)] if len(held) else rows
