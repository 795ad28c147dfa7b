"""The canonical sum: equal bits however blocks are split, ordered and merged."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jobs.sharding.blocks import Blocks, TreeSum, intersect, length, numbers, subtract


def _vectors(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(5) * 10.0 ** generator.integers(-8, 8) for _ in range(count)]


def _reference(vectors: list[np.ndarray], low: int, level: int) -> np.ndarray:
    """Return the tree's sum by its definition."""
    if level == 0:
        return vectors[low]
    half = 1 << (level - 1)
    left = _reference(vectors, low, level - 1)
    return left if low + half >= len(vectors) else left + _reference(vectors, low + half, level - 1)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 64, 100])
def test_any_split_and_order_gives_the_bits_of_the_tree(count: int) -> None:
    """Blocks split among any number of holders, added in any order, merge to the bits of the defined tree."""
    vectors = _vectors(count)
    expected = _reference(vectors, 0, max(count - 1, 0).bit_length())
    generator = np.random.default_rng(1)
    for holders in (1, 2, 3, 7):
        total = TreeSum(count)
        owner = generator.integers(0, holders, count)
        for holder in generator.permutation(holders):
            part = TreeSum(count)
            for block in generator.permutation(np.flatnonzero(owner == holder)):
                part.add(0, int(block), vectors[block].copy())
            for node in part.nodes():
                total.add(*node)
        assert not total.missing()
        assert total.total().tobytes() == expected.tobytes()


def test_threads_may_add_at_once() -> None:
    """Eight threads adding to one sum give the same bits as one."""
    vectors = _vectors(500)
    total = TreeSum(500)
    barrier = threading.Barrier(8)

    def add(first: int) -> None:
        barrier.wait()
        for block in range(first, 500, 8):
            total.add(0, block, vectors[block].copy())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert total.total().tobytes() == _reference(vectors, 0, 9).tobytes()


def test_vectors_from_the_network_may_be_read_only() -> None:
    """Nodes that cannot be written to are added all the same."""
    vectors = _vectors(4)
    total = TreeSum(4)
    for block, vector in enumerate(vectors):
        frozen = vector.copy()
        frozen.flags.writeable = False
        total.add(0, block, frozen)
    assert total.total().tobytes() == _reference(vectors, 0, 2).tobytes()


def test_missing_names_the_blocks_without_a_node() -> None:
    """What no node covers is told as runs."""
    total = TreeSum(10)
    for block in (0, 1, 4, 9):
        total.add(0, block, np.ones(1))
    assert total.missing() == [(2, 4), (5, 9)]


def test_contiguous_blocks_need_few_nodes() -> None:
    """A run of blocks is held as at most 2 log2(blocks) vectors."""
    total = TreeSum(1000)
    for block in range(17, 983):
        total.add(0, block, np.ones(1))
    assert len(total.nodes()) <= 2 * 10


def test_the_last_block_may_be_shorter() -> None:
    """Blocks cover all rows once."""
    blocks = Blocks(rows=10, block_rows=4)
    assert [blocks.rows_of(block) for block in range(len(blocks))] == [(0, 4), (4, 8), (8, 10)]


def test_runs_are_subtracted_and_intersected() -> None:
    """Set arithmetic on runs agrees with sets of numbers."""
    generator = np.random.default_rng(2)
    for _ in range(200):
        cuts = sorted(generator.choice(40, 8, replace=False).tolist())
        runs, others = [(cuts[0], cuts[2]), (cuts[4], cuts[6])], [(cuts[1], cuts[3]), (cuts[5], cuts[7])]
        assert list(numbers(subtract(runs, others))) == sorted(set(numbers(runs)) - set(numbers(others)))
        assert list(numbers(intersect(runs, others))) == sorted(set(numbers(runs)) & set(numbers(others)))
        assert length(runs) == len(list(numbers(runs)))
