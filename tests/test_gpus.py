"""GPUs of this machine, and workers that see their own only; the devices are names, since this needs none of them."""

from __future__ import annotations

import os

import pytest
from distributed import Client, LocalCluster

from jobs import connect
from jobs.cluster.resources import GpuCluster, share, visible
from jobs.errors import InputError

NAMED = {"0,1": ["0", "1"], "3": ["3"], "": [], "-1": [], "GPU-a, GPU-b": ["GPU-a", "GPU-b"]}


@pytest.mark.parametrize(("named", "devices"), NAMED.items())
def test_cuda_visible_devices_names_them(named: str, devices: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA_VISIBLE_DEVICES names is what may be used."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible() == devices


def test_without_it_all_of_the_drivers_devices_are_used(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's driver has a folder for each device."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("jobs.cluster.resources.DRIVER", tmp_path)
    assert visible() == []
    for device in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / device).mkdir()
    assert visible() == ["0", "1"]


@pytest.mark.parametrize(
    ("each", "workers", "shares"),
    [(1, None, [["a"], ["b"], ["c"]]), (1, 2, [["a"], ["b"]]), (2, None, [["a", "b"]]), (3, 1, [["a", "b", "c"]])],
)
def test_devices_are_shared_out(each: int, workers: int | None, shares: list[list[str]]) -> None:
    """Each worker has its own, and as many as it asks for."""
    assert share(["a", "b", "c"], each, workers) == shares


@pytest.mark.parametrize(("devices", "each", "workers"), [([], 1, None), (["0"], 1, 2), (["0"], 2, None)])
def test_too_few_devices(devices: list[str], each: int, workers: int | None) -> None:
    """The error says how many there are, and what to do."""
    with pytest.raises(InputError, match=rf"but it has {len(devices)} \(CUDA_VISIBLE_DEVICES\); ask for fewer"):
        share(devices, each, workers)


def _devices() -> str:
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_each_worker_sees_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers on this machine have different devices, and declare how many."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with connect(gpus=1) as client:
        assert sorted(client.run(_devices).values()) == ["4", "5"]
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [worker["resources"] for worker in workers] == [{"GPU": 1}, {"GPU": 1}]


@pytest.mark.parametrize("shares", [[["4"]], [["4"], ["5"]]])
def test_memory_is_divided_among_the_workers(shares: list[list[str]]) -> None:
    """Each has the limit of a worker without GPUs, of which there are as many, however many cores there are."""
    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with GpuCluster(shares, **options) as mine, LocalCluster(n_workers=len(shares), **options) as plain:
        assert _limits(mine) == _limits(plain)


def _limits(cluster: LocalCluster) -> list[int]:
    with Client(cluster) as client:
        client.wait_for_workers(len(cluster.worker_spec))
        return [worker["memory_limit"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
