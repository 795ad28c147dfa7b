"""Single steps of a caller's own loop: mean gradients of rows, and the optimizer's step by them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from distributed.protocol import to_serialize
from numpy.typing import NDArray

from jobs.sharding.blocks import TreeSum, numbers
from jobs.train.group.coordinator import Coordinator
from jobs.train.group.worker import TrainPlugin
from jobs.train.process.plan import PARTS

Array = NDArray[Any]


async def mean_gradients(group: Coordinator, rows: Sequence[Array], step: int) -> dict[str, Array]:
    """Return name -> mean gradient of rows, in `PARTS` parts; the bits do not depend on the workers.

    Args:
        group: the replicas.
        rows: x, y and, if there are any, weights.
        step: a number of the caller's, on which random layers depend.
    """
    ends = [len(rows[0]) * part // PARTS for part in range(PARTS + 1)]
    # A part without rows is no leaf of the tree: rows alone decide how many there are, workers do not.
    parts = [part for part in range(PARTS) if ends[part] < ends[part + 1]]
    tree = TreeSum(len(parts))
    while missing := list(numbers(tree.missing())):
        members, asks = await group.sync(), []
        for at in missing:
            part = parts[at]
            piece = [to_serialize(np.asarray(one[ends[part] : ends[part + 1]], order="C")) for one in rows]
            address = members[at % len(members)]
            ask = group.ask(address, TrainPlugin.gradients, rows=piece, step=step, part=part)
            asks.append(group.or_lost(address, ask))
        for at, vector in zip(missing, await asyncio.gather(*asks), strict=True):
            if vector is not None:
                tree.add(0, at, np.array(vector))
    return _unpacked(tree.total(), await group.on_first(lambda one: group.ask(one, TrainPlugin.trainable)))


def _unpacked(vector: Array, places: Sequence[tuple[str, Sequence[int]]]) -> dict[str, Array]:
    """Return name -> mean gradient of a sum over parts.

    Args:
        vector: gradients times rows first.
        places: name and shape of each trainable variable; last, the place of the number of rows.
    """
    at, found = 0, {}
    *trainable, (_, (rows_at,)) = places
    for name, shape in trainable:
        size = math.prod(shape)
        found[name] = (vector[at : at + size] / vector[rows_at]).reshape(shape)
        at += size
    return found


async def take_step(group: Coordinator, gradients: Mapping[str, Any]) -> None:
    """Take the optimizer's step by gradients, by name, on every replica."""
    sent = {name: to_serialize(np.asarray(array)) for name, array in gradients.items()}
    await group.ask_all(TrainPlugin.step, gradients=sent)
