"""The messages between driver and workers in an evaluation."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import TypedDict

from distributed.protocol import to_serialize

from jobs.minimize.evaluate.by_messages.tree import WorkerTask
from jobs.minimize.evaluate.request import Kind, Request
from jobs.sharding.blocks import TreeSum, Vector


class RequestMessage(TypedDict):
    """A Request; when sent, its arrays are wrapped, so that Dask sends their memory without a copy."""

    kind: Kind
    thetas: Vector
    direction: Vector | None


class Answer(TypedDict):
    """A worker's sums over its task and its children's.

    Attributes:
        nodes: (level, index) of the largest complete nodes of the tree over blocks that they make.
        vectors: the node's sums, one each, (request.size,) float64.
        compute: seconds that the slowest worker summed.
        load: seconds that the slowest worker loaded.
        lost: addresses of workers whose answers did not come; their blocks are covered by no node.
    """

    nodes: Sequence[tuple[int, int]]
    vectors: Sequence[Vector]
    compute: float
    load: float
    lost: list[str]


def request_message(kind: Kind, thetas: Vector, direction: Vector | None) -> RequestMessage:
    """Return a request as it is sent."""
    wrapped = None if direction is None else to_serialize(direction)
    return {"kind": kind, "thetas": to_serialize(thetas), "direction": wrapped}


def request_of(message: RequestMessage) -> Request:
    """Return the request of a message that has arrived."""
    return Request(message["kind"], message["thetas"], message["direction"])


def unpack(task: bytes) -> WorkerTask:
    """Return the task of a message."""
    # From the driver, over a Dask connection: any peer on those can run code anyway.
    unpacked: WorkerTask = pickle.loads(task)  # noqa: S301
    return unpacked


def answer_of(total: TreeSum, compute: float, load: float, lost: list[str]) -> Answer:
    """Return a sum as it is sent."""
    nodes = total.nodes()
    return {
        "nodes": [node[:2] for node in nodes],
        "vectors": [to_serialize(node[2]) for node in nodes],
        "compute": compute,
        "load": load,
        "lost": lost,
    }


def lost_answer(addresses: list[str]) -> Answer:
    """Return the answer in the place of that of lost workers."""
    return {"nodes": [], "vectors": [], "compute": 0.0, "load": 0.0, "lost": addresses}
