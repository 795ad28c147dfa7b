"""Which images a shuffle moves where: arithmetic over the seed and the partitions' counts alone.

In each round pairs of partitions exchange images: so many of either, chosen at random, as if both were joined,
shuffled, and cut again. After k rounds a partition has images of 2^k others, as along the edges of a hypercube.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
PAIRS, ROWS, FULL = 1, 2, 3
"""Uses of the seed, so that two of them never draw the same numbers."""


class Swap(NamedTuple):
    """Two partitions that exchange rows: `first_rows[i]` of one for `second_rows[i]` of the other, (n,) int64 each."""

    first: int
    second: int
    first_rows: Numbers
    second_rows: Numbers


def swaps(seed: int, number: int, counts: Sequence[int]) -> list[Swap]:
    """Return the exchanges of a round, in which each partition takes part at most once.

    Args:
        seed: of the shuffle.
        number: of the round, from 0.
        counts: rows of each partition.
    """
    return [_swap(seed, number, one, other, counts) for one, other in _pairs(seed, number, len(counts))]


def _pairs(seed: int, number: int, count: int) -> list[tuple[int, int]]:
    """Return the pairs of a round: those whose places in a permutation differ in one bit, another one each round.

    So no two meet again before all bits had their turn: of 2^k partitions each has images of all after k rounds, where
    pairs drawn at random need about twice as many.
    """
    cycle, bit = divmod(number, max((count - 1).bit_length(), 1))
    order = np.random.default_rng([seed, PAIRS, cycle]).permutation(count).tolist()
    partners = [place ^ (1 << bit) for place in range(count)]
    pairs = [(order[place], order[its]) for place, its in enumerate(partners) if place < its < count]
    # Where the number is no power of two some partners are missing: those left over meet each other, an odd one rests.
    left = [order[place] for place, its in enumerate(partners) if its >= count]
    return pairs + list(zip(left[::2], left[1::2], strict=False))


def _swap(seed: int, number: int, first: int, second: int, counts: Sequence[int]) -> Swap:
    random = np.random.default_rng([seed, ROWS, number, first, second])
    mine, its = counts[first], counts[second]
    # Of both joined and shuffled, so many of the second's rows would come to lie in the first.
    moved = int(random.hypergeometric(its, mine, mine)) if mine and its else 0
    return Swap(first, second, random.choice(mine, moved, replace=False), random.choice(its, moved, replace=False))


def contents(seed: int, counts: Sequence[int], rounds: int) -> Iterator[list[Numbers]]:
    """Yield what the partitions have before the first round, and after each: images by number, in order of rows.

    Images are numbered in the order of partitions before the first round.
    """
    ends = np.cumsum([0, *counts])
    held = [np.arange(low, high, dtype=np.int64) for low, high in itertools.pairwise(ends)]
    yield [one.copy() for one in held]
    for number in range(rounds):
        for first, second, rows, others in swaps(seed, number, counts):
            held[first][rows], held[second][others] = held[second][others], held[first][rows]
        yield [one.copy() for one in held]


def content(seed: int, counts: Sequence[int], rounds: int) -> list[Numbers]:
    """Return what the partitions have after so many rounds."""
    *_, last = contents(seed, counts, rounds)
    return last


def distances(seed: int, counts: Sequence[int], rounds: int, labels: NDArray[np.integer]) -> list[float]:
    """Return how far partitions are from the mixture of all images, before and after each round, and fully shuffled.

    It is the total variation distance between the classes of a partition and those of all, 0 .. 1, as the mean over
    partitions; a full shuffle does not reach 0, since a partition has finitely many images.

    Args:
        seed: of the shuffle.
        counts: rows of each partition.
        rounds: of the shuffle.
        labels: of the images by number, classes from 0.
    """
    whole = np.bincount(labels) / len(labels)
    full = np.random.default_rng([seed, FULL]).permutation(len(labels))
    states = [*contents(seed, counts, rounds), np.split(full, np.cumsum(counts)[:-1])]
    return [_distance(state, labels, whole) for state in states]


def _distance(state: Sequence[Numbers], labels: NDArray[np.integer], whole: NDArray[np.float64]) -> float:
    shares = (np.bincount(labels[held], minlength=len(whole)) / len(held) for held in state if len(held))
    return float(np.mean([np.abs(share - whole).sum() / 2 for share in shares]))
