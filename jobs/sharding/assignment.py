"""The assignment of blocks to workers. Pure arithmetic on runs of blocks.

Workers keep what they hold when others come or go, so that only what was lost, or what a new worker takes over, is
loaded again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from jobs.sharding.blocks import Run, joined, length, subtract


def assign(count: int, threads: Mapping[str, int], held: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """Share blocks 0 .. count - 1 among workers in proportion to their threads, moving as few as possible.

    Args:
        count: the number of blocks.
        threads: worker address -> its number of compute threads.
        held: worker address -> the runs it holds from the last assignment; the caller leaves out lost workers.

    Returns:
        worker address -> sorted runs; workers that get nothing are absent.
    """
    if not any(held.get(address) for address in threads):
        return _contiguous(count, threads)
    quotas = _quotas(count, threads)
    plan = {address: _first(held.get(address, ()), quotas[address]) for address in threads}
    free = subtract([(0, count)], [run for runs in plan.values() for run in runs])
    for address in sorted(threads, key=lambda a: plan[a] or [(count, count)]):
        take = _first(free, quotas[address] - length(plan[address]))
        plan[address] = joined([*plan[address], *take])
        free = subtract(free, take)
    return {address: runs for address, runs in plan.items() if runs}


def assign_evenly(count: int, workers: Sequence[str], held: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """Share blocks among workers of one thread each, whose steps all wait for the slowest.

    Who holds blocks keeps them only while the shares stay as equal as they can be.

    Args:
        count: the number of blocks.
        workers: addresses.
        held: as of `assign`; workers that have left may be in it.
    """
    threads = dict.fromkeys(workers, 1)
    plan = assign(count, threads, {address: runs for address, runs in held.items() if address in threads})
    is_even = max(map(length, plan.values())) <= -(-count // len(workers))
    return plan if is_even else assign(count, threads, {})


def cut(runs: Sequence[Run], count: int) -> list[list[Run]]:
    """Cut a worker's runs into at most `count` parts of nearly equal length, none of them empty.

    Like the workers' own boundaries these lie where they make few maximal nodes of the tree.
    """
    share = length(runs) / count
    parts: list[list[Run]] = [[]]
    for start, stop in sorted(runs):
        low = start
        while (room := len(parts) * share - sum(map(length, parts))) < stop - low and len(parts) < count:
            end = min(max(_round(low + room, share / 32), low), stop)
            parts[-1] += [(low, end)] if low < end else []
            parts.append([])
            low = end
        parts[-1] += [(low, stop)] if low < stop else []
    return [part for part in parts if part]


def _contiguous(count: int, threads: Mapping[str, int]) -> dict[str, list[Run]]:
    """Cut the blocks into one run per worker, at boundaries that make few maximal nodes of the tree."""
    share = count / sum(threads.values())
    ends = [_round(share * cores, share / 32) for cores in accumulate(threads.values())]
    runs = zip([0, *ends[:-1]], [*ends[:-1], count], strict=True)
    return {address: [run] for address, run in zip(threads, runs, strict=True) if run[0] < run[1]}


def _round(ideal: float, tolerance: float) -> int:
    """Return the multiple of the largest power of two within `tolerance` of `ideal`, or the nearest integer."""
    step = 1 << int(max(ideal, 1)).bit_length()
    while step > 1 and abs(round(ideal / step) * step - ideal) > tolerance:
        step >>= 1
    return round(ideal / step) * step


def _quotas(count: int, threads: Mapping[str, int]) -> dict[str, int]:
    # Differences of rounded ends, not rounded shares: these add up to `count`.
    share = count / sum(threads.values())
    ends = [round(share * cores) for cores in accumulate(threads.values())]
    return {address: end - start for address, start, end in zip(threads, [0, *ends[:-1]], ends, strict=True)}


def _first(runs: Sequence[Run], quota: int) -> list[Run]:
    """Return the first `quota` blocks of the runs."""
    taken: list[Run] = []
    for start, stop in sorted(runs):
        size = min(stop - start, quota - length(taken))
        if size > 0:
            taken.append((start, start + size))
    return taken
