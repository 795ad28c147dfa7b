"""Who holds which blocks: shares that are fair, cover everything once, and move little."""

from __future__ import annotations

import pytest

from jobs.sharding.assignment import assign, assign_evenly, cut
from jobs.sharding.blocks import length, numbers


def _covered(shares: dict[str, list[tuple[int, int]]]) -> list[int]:
    return sorted(block for runs in shares.values() for block in numbers(runs))


@pytest.mark.parametrize("count", [1, 2, 7, 54, 1000])
@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_every_block_has_one_holder(count: int, workers: int) -> None:
    """All blocks are shared out once, in shares that differ by little."""
    shares = assign(count, {f"w{i:02d}": 1 for i in range(workers)}, {})
    assert _covered(shares) == list(range(count))
    sizes = [length(runs) for runs in shares.values()]
    assert max(sizes) <= count / workers * (1 + 1 / 16) + 1


def test_shares_follow_threads() -> None:
    """A worker with three threads holds three times the blocks of one with one."""
    shares = assign(1000, {"a": 1, "b": 3}, {})
    assert length(shares["b"]) == pytest.approx(750, abs=40)


def test_a_lost_worker_moves_only_its_own_blocks() -> None:
    """Those who stay keep all they hold and take over the lost worker's blocks."""
    before = assign(1000, dict.fromkeys("abcd", 1), {})
    after = assign(1000, dict.fromkeys("abd", 1), before)
    assert _covered(after) == list(range(1000))
    for worker in "abd":
        assert set(numbers(before[worker])) <= set(numbers(after[worker]))


def test_a_new_worker_gets_its_share_and_nothing_else_moves() -> None:
    """Workers that stay give blocks away but take none."""
    before = assign(1000, dict.fromkeys("abc", 1), {})
    after = assign(1000, dict.fromkeys("abcz", 1), before)
    assert _covered(after) == list(range(1000))
    assert length(after["z"]) == pytest.approx(250, abs=1)
    for worker in "abc":
        assert set(numbers(after[worker])) <= set(numbers(before[worker]))


def test_shares_of_steps_stay_equal() -> None:
    """Who holds blocks keeps them, but not where others would have fewer: all wait for who has most."""
    before = assign_evenly(8, ["a", "b", "c"], {})
    after = assign_evenly(8, ["a", "b", "c"], before)
    assert after == before
    for workers in (["a", "b"], ["a", "b", "c", "d"], ["b"]):
        shares = assign_evenly(8, workers, before)
        assert _covered(shares) == list(range(8))
        assert max(map(length, shares.values())) == -(-8 // len(workers))


@pytest.mark.parametrize("runs", [[(0, 1)], [(0, 3), (9, 10)], [(0, 1000)], [(17, 420), (500, 501), (640, 999)]])
def test_a_workers_blocks_are_cut_into_parts(runs: list[tuple[int, int]]) -> None:
    """The parts are at most as many as asked for, cover the runs once and in order, and differ by little."""
    parts = cut(runs, 4)
    assert [block for part in parts for block in numbers(part)] == list(numbers(runs))
    assert len(parts) == min(4, length(runs))
    assert max(map(length, parts)) <= length(runs) / 4 * (1 + 1 / 8) + 1
