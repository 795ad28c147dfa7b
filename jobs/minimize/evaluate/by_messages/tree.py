"""The workers' tasks of one evaluation, and the tree by which messages go: arithmetic on runs of blocks."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jobs.sharding.blocks import Run, intersect, joined

MESSAGE_SECONDS = 6e-4
"""What one message and its answer cost their sender, of the computing of its event loop (benchmarks/SCALE.md)."""
HOP_SECONDS = 1.5e-3
"""What a worker between the driver and another one adds: two more messages' latency, and its own work for them."""
WIDTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
BYTE_SECONDS = 1e-9
"""Per byte: a network of 10 Gbit/s, or a copy or two."""
WORTH = 0.01
"""How much longer an evaluation may take for a flatter tree: who is lost there keeps fewer others from answering."""
MOST = 256
"""Workers that one process sends to: each takes a connection while it computes, of which Dask has 512."""
SUM_BYTES = 16 << 20
"""Bytes of sums that one process receives at once, but for two sums, however large they are."""


@dataclass(frozen=True)
class Branch:
    """A worker with all that are below it: its address, and its packed task, which it alone unpacks."""

    address: str
    task: bytes


@dataclass(frozen=True)
class WorkerTask:
    """One worker's task: blocks to `keep` loaded, blocks to sum now, and the branches whose sums it adds to its own."""

    keep: tuple[Run, ...]
    compute: tuple[Run, ...]
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Root:
    """A branch as the driver knows it: whose tasks are in it, and which blocks they sum."""

    branch: Branch
    addresses: frozenset[str]
    blocks: tuple[Run, ...]


_Flat = tuple[tuple[Run, ...], str, tuple[Run, ...]]  # blocks to sum, whose, blocks to keep


class Shape(NamedTuple):
    """To how many workers the driver sends a request, and to how many others each of them."""

    roots: int
    branches: int


def roots(
    plan: Mapping[str, Sequence[Run]], missing: Sequence[Run], shape: Shape, straight: Collection[str] = ()
) -> list[Root]:
    """Return the branches that sum all `missing` blocks.

    Args:
        plan: worker address -> runs it keeps, from `assign`.
        missing: the blocks that no answer covers yet.
        shape: the tree's.
        straight: addresses of workers that are in no tree: the driver asks them, and they nobody.
    """
    wanted = ((tuple(intersect(runs, missing)), address, tuple(runs)) for address, runs in plan.items())
    # In block order: neighbours in the tree then complete large nodes together, and answers stay small.
    flat = sorted(task for task in wanted if task[0])
    alone = [[task] for task in flat if task[1] in straight]
    parts = _parts([task for task in flat if task[1] not in straight], shape.roots)
    return [_root(part, shape.branches) for part in [*alone, *parts]]


def shape(workers: int, request_bytes: int, sum_bytes: int, seconds: float) -> Shape:
    """Return the flattest tree that costs an evaluation no more than WORTH of its time; often one level, no tree.

    A level costs its messages one after the other, and a hop. Sums that are large come back to the driver as one.

    Args:
        workers: how many.
        request_bytes: of one request.
        sum_bytes: of one worker's sum.
        seconds: of computing in an evaluation, about.
    """
    most = max(2, min(MOST, SUM_BYTES // max(sum_bytes, 1)))
    message = MESSAGE_SECONDS + (request_bytes + sum_bytes) * BYTE_SECONDS
    costs = {
        width: _levels(workers, width) * (width * message + HOP_SECONDS)
        for width in [*(width for width in WIDTHS if width < workers), workers]
        if width <= most
    }
    limit = min(costs.values()) + WORTH * seconds
    width = max(width for width, cost in costs.items() if cost <= limit)
    return Shape(1 if workers * sum_bytes >= SUM_BYTES else width, width)


def _levels(workers: int, width: int) -> int:
    """Return the depth of a tree over so many workers, of which each has `width` below it."""
    levels, room = 1, width
    while room < workers:
        room = width * (room + 1)
        levels += 1
    return levels


def _root(flat: Sequence[_Flat], width: int) -> Root:
    blocks = tuple(run for compute, _, _ in flat for run in compute)
    return Root(_branch(flat, width), frozenset(address for _, address, _ in flat), tuple(joined(blocks)))


def _branch(flat: Sequence[_Flat], width: int) -> Branch:
    """Make the first worker the head of branches over all others."""
    (compute, address, keep), *others = flat
    branches = tuple(_branch(part, width) for part in _parts(others, width))
    return Branch(address, pickle.dumps(WorkerTask(keep, compute, branches), protocol=5))


def _parts(flat: Sequence[_Flat], count: int) -> list[Sequence[_Flat]]:
    """Cut into at most `count` parts of nearly equal length, at blocks that make few maximal nodes of the tree sum."""
    share = len(flat) / count
    if share <= 1:
        return [[one] for one in flat]
    reach = int(share / 4)
    cuts = [0]
    for number in range(1, count):
        ideal = round(number * share)
        near = range(max(ideal - reach, cuts[-1]), min(ideal + reach, len(flat)) + 1)
        cuts.append(max(near, key=lambda at: (_roundness(flat, at), -abs(at - ideal))))
    ends = [*cuts[1:], len(flat)]
    return [flat[start:stop] for start, stop in zip(cuts, ends, strict=True) if start < stop]


def _roundness(flat: Sequence[_Flat], at: int) -> int:
    """Return the level of the largest node of the tree sum that begins where the worker at an index begins."""
    first = flat[at][0][0][0] if at < len(flat) else 0
    return (first & -first).bit_length()
