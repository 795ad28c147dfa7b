"""Which rows a part of a step has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.train.data.order import BLOCK_BYTES, Order

ORDER = Order(rows=1003, parts=8, batch=64, seed=3, row_bytes=100)


def _epoch(order: Order, epoch: int) -> np.ndarray:
    steps = range(epoch * order.steps, (epoch + 1) * order.steps)
    return np.concatenate([order.at(step, part) for step in steps for part in range(order.parts)])


@pytest.mark.parametrize("held_out", [0.0, 0.1])
@pytest.mark.parametrize("row_bytes", [100, BLOCK_BYTES // 4])
@pytest.mark.parametrize("rows", [64, 1000, 1003])
def test_an_epoch_has_each_row_once(rows, row_bytes, held_out):
    """Also the last, short batches, and regions of several windows; rows that are held out never come."""
    order = replace(ORDER, rows=rows, row_bytes=row_bytes, held_out=held_out)
    held = np.concatenate([order.held(part) for part in range(order.parts)])
    trained, count = order.counts()
    assert (len(held), trained + count) == (count, rows)
    for epoch in range(3):
        seen = np.concatenate([_epoch(order, epoch), held])
        assert np.array_equal(np.sort(seen), np.arange(rows))


def test_epochs_seeds_and_parts_differ():
    """Each epoch has an order of its own, as each seed; the same call gives the same rows."""
    assert not np.array_equal(_epoch(ORDER, 0), _epoch(ORDER, 1))
    assert not np.array_equal(_epoch(ORDER, 0), _epoch(replace(ORDER, seed=4), 0))
    assert np.array_equal(_epoch(ORDER, 5), _epoch(replace(ORDER), 5))


def test_a_part_reads_its_region_alone():
    """Consecutive rows, so that a worker reads no others."""
    for part in range(8):
        start, stop = ORDER.region(part)
        rows = ORDER.of(2, part)
        assert (rows.min(), rows.max() + 1) == (start, stop)


def test_a_large_region_is_shuffled_by_blocks():
    """Rows of a step lie in few blocks at a time, and yet come from all over the region in the course of an epoch."""
    order = Order(rows=100_000, parts=1, batch=100, seed=0, row_bytes=BLOCK_BYTES // 64)
    assert order.block_rows == 64
    rows = order.of(0, 0)
    assert len(np.unique(rows[:1024] // 64)) == 16
    assert np.corrcoef(np.arange(len(rows)), rows)[0, 1] < 0.05
