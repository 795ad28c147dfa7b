"""This project's training on a cluster, in turns of some steps."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from distributed import Client, Worker

from benchmarks.train.peers.networks import BATCH
from jobs.train.data.open import Data
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.group.worker import TrainPlugin
from jobs.train.process.messages import Status
from jobs.train.process.plan import Plan
from jobs.usercode import UserCode


def _has(handler: str, dask_worker: Worker) -> bool:
    return handler in dask_worker.handlers


class EnoughError(Exception):
    """What was wanted has been seen."""


class Ours:
    """A network on all workers of a cluster.

    Args:
        client: the cluster's.
        network: a function of `networks`.
        data: another one, its rows.
        parts: logical parts of a step.
        batch: rows of a step.

    Attributes:
        spent: seconds of the first worker in the last turn, by activity.
    """

    def __init__(
        self,
        client: Client,
        network: Callable[[], Any],
        data: Callable[[], Any],
        *,
        parts: int,
        batch: int = BATCH,
    ) -> None:
        self._client, self._enough, self._until = client, False, 0
        self._trainer = ClusterTrainer(client, UserCode("create_model", network, "m:f"), poll=self._poll)
        self._trainer.load(Plan(data=Data("data", data), batch_size=batch, parts=parts))
        self._trainer.start(None)
        self.spent: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._before: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._enough = True
        if self._thread:
            self._thread.join()  # else the plugin would go while steps are taken
        self._trainer.close()

    def _poll(self) -> None:
        if self._enough and threading.current_thread() is not threading.main_thread():
            raise EnoughError

    def __call__(self, steps: int) -> float:
        """Take so many steps, and return seconds."""
        self._until += steps
        began = time.monotonic()
        found = self._trainer.train(self._until, lambda _: None)["spent"]
        seconds = time.monotonic() - began
        self.spent = {name: value - self._before.get(name, 0.0) for name, value in found.items()}
        self._before = found
        return seconds

    def percent(self, activity: str) -> float:
        """Return the share of an activity in the first worker's last turn."""
        spent = self.spent
        return 100 * spent[activity] / sum(spent[name] for name in ("data", "compute", "exchange", "apply"))

    def begin(self) -> None:
        """Take steps in a thread until the end of the `with`."""

        def work() -> None:
            with contextlib.suppress(EnoughError):
                self._trainer.train(1 << 40, lambda _: None)

        self._thread = threading.Thread(target=work, name="trains")
        self._thread.start()

    def is_set_up(self, address: str) -> bool:
        """Return whether a worker can be asked for its status."""
        handler = f"{self._trainer._plugin.key}-status"  # noqa: SLF001
        try:
            return all(self._client.run(_has, handler, workers=[address]).values())
        except OSError:
            return False

    def status(self, address: str) -> Status | None:
        """Return how far a worker is; None if it has no model."""
        ask = self._trainer._all.ask(address, TrainPlugin.status)  # noqa: SLF001  nobody else asks so often
        try:
            return asyncio.run_coroutine_threadsafe(ask, self._client.loop.asyncio_loop).result(60)
        except Exception:  # noqa: BLE001  it is not there yet, or not any more
            return None

    def step(self, address: str) -> int:
        """Return how many steps a worker has done; -1 without a model."""
        status = self.status(address)
        return status["step"] if status else -1
