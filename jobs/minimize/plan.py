"""Which worker holds which blocks, and by which tree sums come back. Pure arithmetic on runs of blocks.

Workers keep what they hold when others come or go, so that only what was lost, or what a new worker takes over, is
loaded again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jobs.blocks import Run, intersect, length, subtract

TREE_BYTES = 16 << 20
"""Above this many bytes of sums in one evaluation, they come back by a tree over the workers."""


@dataclass(frozen=True)
class Part:
    """What one worker is asked for: blocks to `keep` loaded, blocks to sum now, and whose sums to add to its own."""

    address: str
    keep: tuple[Run, ...]
    todo: tuple[Run, ...]
    children: tuple[Part, ...] = ()


def assign(count: int, threads: Mapping[str, int], held: Mapping[str, Sequence[Run]]) -> dict[str, list[Run]]:
    """Share blocks 0 .. count - 1 among workers in proportion to their threads, moving as few as possible.

    Args:
        count: the number of blocks.
        threads: worker address -> its number of compute threads.
        held: worker address -> the runs it holds from the last plan; addresses that are gone are left out by the
        caller.

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
        plan[address] = _joined([*plan[address], *take])
        free = subtract(free, take)
    return {address: runs for address, runs in plan.items() if runs}


def _contiguous(count: int, threads: Mapping[str, int]) -> dict[str, list[Run]]:
    """Cut the blocks into one run a worker, at boundaries that make few maximal nodes of the canonical tree."""
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


def _joined(runs: Sequence[Run]) -> list[Run]:
    """Return the runs sorted, neighbours made one."""
    joined: list[Run] = []
    for start, stop in sorted(runs):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def parts(plan: Mapping[str, Sequence[Run]], missing: Sequence[Run], sum_bytes: int) -> list[Part]:
    """Return what to ask for so that all `missing` blocks are summed: one part a worker, or one tree of all.

    Args:
        plan: worker address -> runs it keeps, from `assign`.
        missing: the blocks whose sums are still wanted.
        sum_bytes: bytes of one block's sum vector; many and large ones are added on the way by a tree.
    """
    wanted = ((address, tuple(runs), tuple(intersect(runs, missing))) for address, runs in plan.items())
    flat = sorted((Part(*part) for part in wanted if part[2]), key=lambda part: part.todo)
    return [_tree(flat)] if by_tree(len(flat), sum_bytes) else flat


def by_tree(workers: int, sum_bytes: int) -> bool:
    """Return whether so many workers' sums, of `sum_bytes` each, come back by a tree over the workers."""
    return workers >= 3 and workers * sum_bytes >= TREE_BYTES


def _tree(flat: Sequence[Part]) -> Part:
    """Make the first part the root over two halves of the others, each again a tree over neighbouring blocks."""
    root, rest = flat[0], flat[1:]
    middle = (len(rest) + 1) // 2
    children = tuple(_tree(half) for half in (rest[:middle], rest[middle:]) if half)
    return Part(root.address, root.keep, root.todo, children)


def addresses(part: Part) -> set[str]:
    """Return the addresses of all workers in a part's tree."""
    return {part.address}.union(*(addresses(child) for child in part.children))


def todo(part: Part) -> list[Run]:
    """Return the blocks that a part's tree sums."""
    return [*part.todo, *(run for child in part.children for run in todo(child))]
