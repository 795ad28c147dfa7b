"""The plan of a shuffle: arithmetic, without a cluster."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jobs.alexnet.shuffle.plan import content, contents, distances, swaps

COUNTS = [100, 1, 37, 100, 64, 0, 100]


@pytest.mark.parametrize("counts", [COUNTS, [5], [3, 3], [0, 0], list(range(20))])
def test_no_image_is_lost_or_doubled(counts):
    """After each round each image is in one partition, and counts stay as they are."""
    for held in contents(3, counts, 5):
        assert [len(one) for one in held] == counts
        assert sorted(np.concatenate(held).tolist()) == list(range(sum(counts)))


def test_each_partition_takes_part_once_in_a_round():
    """An odd one rests; others exchange as many as they get, each row once."""
    for number in range(10):
        made = swaps(0, number, COUNTS)
        taking_part = [one for swap in made for one in swap[:2]]
        assert len(taking_part) == len(set(taking_part)) >= 6
        for swap in made:
            assert len(swap.first_rows) == len(swap.second_rows)
            assert len(set(swap.first_rows.tolist())) == len(swap.first_rows)
            assert swap.first_rows.size == 0 or swap.first_rows.max() < COUNTS[swap.first]


def test_it_depends_on_the_seed_and_the_round_alone():
    """The same in every process; other seeds and rounds move others."""
    first, again, other = (content(seed, [200] * 8, 3) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(swaps(0, 0, [200] * 8)[0].first_rows, swaps(0, 1, [200] * 8)[0].first_rows)


def test_a_round_is_a_fair_mixture_of_two():
    """Of two partitions each gets about half of the other's images, as if they were joined, shuffled and cut."""
    mixed = [np.mean(content(seed, [1000, 1000], 1)[0] >= 1000) for seed in range(50)]
    assert np.mean(mixed) == pytest.approx(0.5, abs=0.01)
    assert 0.005 < np.std(mixed) < 0.03


@pytest.mark.parametrize("partitions", [32, 27])
def test_each_round_comes_closer_to_a_full_shuffle(partitions):
    """Sorted classes, as ImageNet's tars have them, are as mixed after five rounds as a full shuffle has them."""
    labels = np.repeat(np.arange(partitions), 256)
    *rounds, full = distances(0, [256] * partitions, 5, labels)
    assert rounds[0] == pytest.approx(1 - 1 / partitions)
    assert all(later < before for before, later in itertools.pairwise(rounds))
    assert full / 1.2 < rounds[5] < (1.2 if partitions == 32 else 2.5) * full
