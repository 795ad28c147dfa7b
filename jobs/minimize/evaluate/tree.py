"""The workers' tasks of one evaluation, and the tree by which sums come back: arithmetic on runs of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.sharding.blocks import Run, intersect

TREE_BYTES = 16 << 20
"""Above this many bytes of sums in one evaluation, they come back by a tree over the workers."""


@dataclass(frozen=True)
class WorkerTask:
    """One worker's task: blocks to `keep` loaded, blocks to sum now, and the tasks whose sums it adds to its own."""

    address: str
    keep: tuple[Run, ...]
    compute: tuple[Run, ...]
    children: tuple[WorkerTask, ...] = ()


def worker_tasks(plan: Mapping[str, Sequence[Run]], missing: Sequence[Run], sum_bytes: int) -> list[WorkerTask]:
    """Return the tasks that sum all `missing` blocks: one per worker, or one tree of all.

    Args:
        plan: worker address -> runs it keeps, from `assign`.
        missing: the blocks that no answer covers yet.
        sum_bytes: bytes of one block's sum vector; many and large ones are added on the way by a tree.
    """
    wanted = ((address, tuple(runs), tuple(intersect(runs, missing))) for address, runs in plan.items())
    # In block order: neighbours in the tree then complete large nodes together, and answers stay small.
    flat = sorted((WorkerTask(*task) for task in wanted if task[2]), key=lambda task: task.compute)
    return [_tree(flat)] if by_tree(len(flat), sum_bytes) else flat


def by_tree(workers: int, sum_bytes: int) -> bool:
    """Return whether so many workers' sums, of `sum_bytes` each, come back by a tree over the workers."""
    return workers >= 3 and workers * sum_bytes >= TREE_BYTES


def _tree(flat: Sequence[WorkerTask]) -> WorkerTask:
    """Make the first task the root over two halves of the others, each again a tree over neighbouring blocks."""
    root, rest = flat[0], flat[1:]
    middle = (len(rest) + 1) // 2
    children = tuple(_tree(half) for half in (rest[:middle], rest[middle:]) if half)
    return WorkerTask(root.address, root.keep, root.compute, children)


def addresses(task: WorkerTask) -> set[str]:
    """Return the addresses of all workers in a task's tree."""
    return {task.address}.union(*(addresses(child) for child in task.children))


def computed(task: WorkerTask) -> list[Run]:
    """Return the blocks that a task's tree sums."""
    return [*task.compute, *(run for child in task.children for run in computed(child))]
