"""Capacity of a cluster's nodes: free resources, and the number of pods that fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from jobs.release.api.objects import Object, condition, live, name

DISK = "ephemeral-storage"
"""The resource of a node's disk for volumes of pods and logs."""
Resources = Mapping[str, Decimal]
"""Resource -> amount: cores, bytes, devices, pods."""


@dataclass(frozen=True)
class PodRequest:
    """Pods of one role: their number, the requests of each, and the nodes that they may run on."""

    role: str
    count: int
    each: Resources
    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Node:
    """A node with its free resources."""

    name: str
    free: Resources
    labels: Mapping[str, str]
    taints: Sequence[Object]


def quantity(text: str | float) -> Decimal:
    """Return a Kubernetes quantity ("500m", "1Gi", 2) as a number."""
    parse: Any = parse_quantity
    return Decimal(parse(str(text)))


def free_nodes(nodes: Iterable[Object], pods: Iterable[Object]) -> list[Node]:
    """Return the schedulable nodes, with their allocatable resources less the requests of their pods."""
    used: dict[tuple[str, str], Decimal] = {}
    for pod in pods:
        if live(pod) and (where := pod["spec"].get("nodeName")):
            for resource, amount in requests(pod["spec"]).items():
                used[where, resource] = used.get((where, resource), Decimal(0)) + amount
    result = []
    for node in nodes:
        if node["spec"].get("unschedulable") or condition(node, "Ready") is None:
            continue
        there = {key: quantity(text) for key, text in node["status"].get("allocatable", {}).items()}
        free = {key: amount - used.get((name(node), key), Decimal(0)) for key, amount in there.items()}
        result.append(Node(name(node), free, node["metadata"].get("labels", {}), node["spec"].get("taints", ())))
    return result


def requests(spec: Object) -> dict[str, Decimal]:
    """Return a pod's requests: its containers and sidecars together, or a larger init container alone."""
    init = spec.get("initContainers", ())
    single = [_of(container) for container in init if container.get("restartPolicy") != "Always"]
    sidecars = [container for container in init if container.get("restartPolicy") == "Always"]
    total = {"pods": Decimal(1)}
    for container in (*spec.get("containers", ()), *sidecars):
        for key, amount in _of(container).items():
            total[key] = total.get(key, Decimal(0)) + amount
    resources = {*total, *(key for one in single for key in one)}
    return {
        key: max(total.get(key, Decimal(0)), *(one.get(key, Decimal(0)) for one in single), Decimal(0))
        for key in resources
    }


def _of(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources", {})
    amounts = {**resources.get("limits", {}), **resources.get("requests", {})}
    return {key: quantity(text) for key, text in amounts.items()}


def fit(wanted: Iterable[PodRequest], nodes: Sequence[Node]) -> dict[str, int]:
    """Return role -> number of its pods that fit, each on the first node with room for it."""
    free = {node.name: dict(node.free) for node in nodes}
    placed = {}
    for pods in wanted:
        placed[pods.role] = 0
        for node in nodes:
            if not takes(node, pods):
                continue
            room = free[node.name]
            while placed[pods.role] < pods.count and all(
                room.get(key, Decimal(0)) >= amount for key, amount in pods.each.items()
            ):
                placed[pods.role] += 1
                for key, amount in pods.each.items():
                    room[key] = room.get(key, Decimal(0)) - amount
    return placed


def takes(node: Node, pods: PodRequest) -> bool:
    """Return whether a node has the labels of the pods' selector, and no taint that they do not tolerate."""
    if any(node.labels.get(key) != text for key, text in pods.selector.items()):
        return False
    hard = [taint for taint in node.taints if taint.get("effect") in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(one, taint) for one in pods.tolerations) for taint in hard)


def _tolerates(toleration: Mapping[str, Any], taint: Object) -> bool:
    if toleration.get("effect") not in (None, taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, taint["key"])
    return (toleration.get("key"), toleration.get("value") or "") == (taint["key"], taint.get("value", ""))
