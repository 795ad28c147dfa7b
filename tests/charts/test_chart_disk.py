"""Disk space: what pods may write is limited, and counted by the cluster, and none is evicted for what it may."""

from __future__ import annotations

from typing import Any

import pytest
from chart_tools import CHARTS, Object, Rendered, containers, merged, refused, render

from jobs.release.plan.capacity import DISK, quantity, requests

LOGS = 64 * 2**20
"""More than the kubelet keeps of a container's log by default: five files of 10 MiB."""
RUNS: list[dict[str, Any]] = [
    {},
    {"run": {"s3": "s3://runs"}},
    {"run": {"claim": {"create": True}}},
    {"run": {"claim": {"create": True, "accessModes": ["ReadWriteMany"]}}},
]
SIZES = {"workers": {"scratch": "1.5Gi", "sharedMemory": "4Gi", "gpu": 1}, "driver": {"scratch": "700M"}}


def _written(pod: Object) -> int:
    """Return the bytes that a pod's volumes on the node's disk may have."""
    folders = [one["emptyDir"] for one in pod["spec"]["volumes"] if "emptyDir" in one]
    return int(sum(quantity(one["sizeLimit"]) for one in folders if one.get("medium") != "Memory"))


def _checked(release: Rendered) -> None:
    for pod in release.pods:
        limits = [quantity(one["resources"]["limits"][DISK]) for one in containers(pod)]
        asked = [quantity(one["resources"]["requests"][DISK]) for one in containers(pod)]
        # The kubelet evicts a pod whose volumes and logs are more than the limits of all its containers together.
        assert sum(limits) >= _written(pod) + LOGS * len(limits)
        assert all(0 < request <= limit for request, limit in zip(asked, limits, strict=True))
        assert all(limit >= LOGS for limit in limits)
        assert requests(pod["spec"])[DISK] == sum(asked)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("run", RUNS, ids=["scratch", "s3", "claim", "shared-claim"])
def test_limits_hold_all_that_a_pod_may_write(run: dict[str, Any], chart: str) -> None:
    """Each container of each pod has a request and a limit, and the sized volumes and logs are within the limits."""
    _checked(render(run, chart=chart))
    _checked(render(merged(run, SIZES), chart=chart))


def _disk(release: Rendered, container: str) -> tuple[str, str]:
    resources = release.container(container)["resources"]
    return resources["requests"][DISK], resources["limits"][DISK]


def test_what_is_asked_for_and_the_limit() -> None:
    """A node needs 1 GiB, or as much as there may be, and room for logs; the limit is all of it."""
    assert _disk(render(), "worker") == ("1088Mi", "1280Mi")
    assert _disk(render(), "driver") == ("1088Mi", "2304Mi")
    assert _disk(render(), "scheduler") == ("64Mi", "256Mi")
    assert _disk(render({"workers": {"scratch": "100Gi"}}), "worker") == ("1088Mi", "102656Mi")
    assert _disk(render({"workers": {"scratch": "500M"}}), "worker") == ("541Mi", "733Mi")
    asked = {"scratch": "100Gi", "scratchRequest": "512Mi"}
    assert _disk(render({"driver": asked}), "driver") == ("576Mi", "205056Mi")
    assert "scratchRequest is 200Gi, but the limit" in refused({"workers": {"scratchRequest": "200Gi"}})
