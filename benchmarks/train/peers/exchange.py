"""Sums of vectors on a Dask cluster: by this project's exchange alone, without a model, and by futures."""

from __future__ import annotations

import functools
import pickle
import time
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from jobs.cluster.plugin import call
from jobs.train.exchange.group import Group, Roster
from jobs.train.exchange.wire import Format
from jobs.train.group.worker import TrainPlugin

Vector = NDArray[np.float32]


class ExchangePlugin(TrainPlugin):
    """A worker's side of training that adds vectors without computing them."""

    async def exchange(self, *, roster: bytes, size: int, steps: int) -> dict[str, float]:
        """Add vectors of so many ones with a group, so many times; return when it began and ended, and CPU seconds."""
        return await self._work(self._exchange, pickle.loads(roster), size, steps)

    def _exchange(self, roster: Roster, size: int, steps: int) -> dict[str, float]:
        form = Format("full", 0)
        group = Group(roster, self.worker.address, self._inbox, send=self._send, form=form, timeout=60.0)
        ones = np.ones(size, np.float32)
        vectors = {part: ones.copy() for part in group.mine}
        begin, cpu = time.monotonic(), time.process_time()
        for step in range(steps):
            total = group.total(step, vectors.items(), size, "float32")
            if step < steps - 1:
                vectors = {part: ones.copy() for part in group.mine}
        taken = {"begin": begin, "end": time.monotonic(), "cpu": time.process_time() - cpu}
        if total[-1] != roster.parts:
            raise ArithmeticError(f"the sum of {roster.parts} ones is {total[-1]}")
        return taken


class Exchange:
    """This project's exchange between all workers of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client, self._plugin, self._generation = client, ExchangePlugin("bench-exchange", None, 0), 0  # type: ignore[arg-type]
        client.register_plugin(self._plugin, name=self._plugin.key)
        self._addresses = list(client.scheduler_info(n_workers=-1)["workers"])

    def __call__(self, size: int, steps: int) -> list[dict[str, Any]]:
        """Return what each worker answers."""
        self._generation += 1
        runs = {address: [(number, number + 1)] for number, address in enumerate(self._addresses)}
        roster = pickle.dumps(Roster(self._generation, runs, len(runs)))

        async def all_of_them() -> list[dict[str, Any]]:
            import asyncio

            method = ExchangePlugin.exchange
            calls = (
                call(self._client.rpc, self._plugin.key, one, method, roster=roster, size=size, steps=steps)
                for one in self._addresses
            )
            return await asyncio.gather(*calls)

        return self._client.sync(all_of_them)


@functools.cache
def _kept(size: int) -> Vector:
    return np.ones(size, np.float32)


def gradient(mean: Vector | None, size: int) -> Vector:  # noqa: ARG001  a task waits for what it is given
    """Return this worker's vector, as a task that has got the mean of the step before."""
    return _kept(size)


class Futures:
    """Futures through the driver: it gathers all vectors, and gives their mean to the next tasks.

    Args:
        client: of the cluster.
        scattered: whether the mean is scattered to each worker, as is right for large ones, or an argument.
    """

    def __init__(self, client: Client, *, scattered: bool) -> None:
        self._client, self._scattered = client, scattered
        self._addresses = list(client.scheduler_info(n_workers=-1)["workers"])
        self._mean: Vector | None = None

    def __call__(self, size: int, steps: int) -> float:
        """Return seconds."""
        client, began = self._client, time.monotonic()
        for _ in range(steps):
            futures = [
                client.submit(gradient, self._given(one), size, workers=[one], pure=False) for one in self._addresses
            ]
            vectors = client.gather(futures)
            self._mean = np.mean(vectors, axis=0)
        if self._mean is None or self._mean[-1] != 1:
            raise ArithmeticError("the mean of ones is not 1")
        return time.monotonic() - began

    def _given(self, address: str) -> Any:
        if self._scattered and self._mean is not None:
            return self._client.scatter(self._mean, workers=[address], hash=False)
        return self._mean
