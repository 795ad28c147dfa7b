"""GPUs of this machine: which there are, and a cluster that divides them among its workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed import LocalCluster

from jobs.errors import InputError, argument
from jobs.formatting import plural

# The kernel driver's own list: no library of NVIDIA's is needed, and without a driver the folder is missing.
DRIVER = Path("/proc/driver/nvidia/gpus")


def visible() -> list[str]:
    """Return the devices that this process may use: those of `$CUDA_VISIBLE_DEVICES`, else all of the machine's."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(index) for index in range(len(list(DRIVER.glob("*"))))]
    return [device for device in map(str.strip, named.split(",")) if device not in ("", "-1")]  # both hide all


def share(devices: Sequence[str], each: int, workers: int | None) -> list[list[str]]:
    """Return each worker's devices, `each` per worker, for `workers` workers or else as many as possible.

    Raises:
        InputError: there are not enough.
    """
    count = max(1, len(devices) // each) if workers is None else workers
    if count * each > len(devices):
        wanted = f"{plural(count, 'worker')} with {plural(each, 'GPU')} each"
        raise InputError(
            f"{wanted} were asked for on this machine, but it has {len(devices)} (CUDA_VISIBLE_DEVICES); ask for fewer "
            f"({argument('workers')}, {argument('gpus_per_trial')}), or use a cluster that has more "
            f"({argument('scheduler')})"
        )
    return [list(devices[worker * each : (worker + 1) * each]) for worker in range(count)]


class GpuCluster(LocalCluster):  # type: ignore[misc]  # distributed is untyped here
    """A cluster whose workers see their own devices only, declared as Dask's resource `GPU`, and share all memory."""

    def __init__(self, shares: Sequence[Sequence[str]], **options: Any) -> None:
        self._shares = list(shares)
        # No worker yet: LocalCluster starts those of `n_workers` all alike, and asks `new_worker_spec` only to scale.
        # Hence the limit, a fraction of all memory: by default it would be that of a worker's threads among all cores.
        super().__init__(n_workers=0, memory_limit=1 / len(self._shares), **options)
        self.scale(len(self._shares))

    def new_worker_spec(self) -> dict[Any, dict[str, Any]]:
        """Return the next worker's name and how it is started."""
        ((name, spec),) = super().new_worker_spec().items()
        devices = self._shares[name % len(self._shares)]
        environment = {**spec["options"].get("env", {}), "CUDA_VISIBLE_DEVICES": ",".join(devices)}
        own = {"env": environment, "resources": {"GPU": len(devices)}}
        return {name: {**spec, "options": {**spec["options"], **own}}}
