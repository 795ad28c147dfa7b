"""Placement: which trial runs on which worker; the slots of workers, what ran on a lost one, and quarantine.

Pure bookkeeping; a trial is a number, a worker an address.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.errors import argument


@dataclass(frozen=True)
class Worker:
    """The resources of a worker: compute threads, and GPUs as it declares them (Dask's resource `GPU`).

    A worker that is not ready gets no trials yet; one that Dask has paused, for lack of memory, gets no more of them.
    """

    threads: int
    gpus: float = 0.0
    ready: bool = True
    paused: bool = False

    @property
    def open(self) -> bool:
        """Whether it takes trials."""
        return self.ready and not self.paused


class Slots:
    """Places trials on workers; one in quarantine only where no other runs.

    Args:
        threads: compute threads per trial.
        gpus: GPUs per trial; with 0 GPUs do not count.
    """

    def __init__(self, threads: int, gpus: float) -> None:
        self._threads, self._gpus = threads, gpus
        self.workers: dict[str, Worker] = {}
        self._running: dict[str, set[int]] = {}
        # Worker -> the trial in quarantine that it is reserved for, also while it drains.
        self._quarantine: dict[str, int] = {}

    def capacity(self, worker: Worker) -> int:
        """Return the slots of a worker: the number of trials that it runs at once, when it is ready."""
        by_threads = worker.threads // self._threads
        # 0.1 fits three times into 0.3, though the quotient of these floats is below 3.
        return min(by_threads, math.floor(worker.gpus / self._gpus + 1e-9)) if self._gpus else by_threads

    @property
    def total(self) -> int:
        """Number of slots of all workers."""
        return sum(map(self.capacity, self.workers.values()))

    @property
    def gathered(self) -> bool:
        """Whether all workers are ready."""
        return all(worker.ready for worker in self.workers.values())

    def too_small(self) -> str:
        """Return why no worker takes a trial, as the text of an InputError."""
        threads = max(worker.threads for worker in self.workers.values())
        if threads < self._threads:
            return (
                f"{argument('threads_per_trial')} is {self._threads}, but the largest worker has {threads} threads "
                f"({argument('threads')})"
            )
        gpus = max(worker.gpus for worker in self.workers.values())
        return (
            f"{argument('gpus_per_trial')} is {self._gpus:g}, but no worker declares more than {gpus:g} GPUs; start "
            "workers with --gpus 1 (jobs.pods.worker) or --resources GPU=1 (dask worker)"
        )

    def update(self, workers: Mapping[str, Worker]) -> list[str]:
        """Take over the membership, and return the addresses of the lost workers."""
        # Lost workers stay until `lose`, which returns what ran there.
        gone = [address for address in self.workers if address not in workers]
        self.workers = {**{address: self.workers[address] for address in gone}, **workers}
        return gone

    def add(self, address: str, worker: Worker) -> None:
        """Add a worker, or replace one that is ready now."""
        self.workers[address] = worker

    def lose(self, address: str) -> set[int]:
        """Remove a lost worker, and return the trials that ran there."""
        self.workers.pop(address, None)
        self._quarantine.pop(address, None)
        return self._running.pop(address, set())

    def end(self, address: str, number: int) -> None:
        """Note that a trial no longer runs."""
        self._running.get(address, set()).discard(number)
        if self._quarantine.get(address) == number:
            del self._quarantine[address]

    def free(self) -> str | None:
        """Return the worker with the most free slots, the first of equals; None if there is none."""
        best = max(sorted(self.workers), key=self._room, default=None)
        return best if best is not None and self._room(best) > 0 else None

    def _room(self, address: str) -> int:
        if address in self._quarantine or not self.workers[address].open:
            return 0
        return self.capacity(self.workers[address]) - len(self._running.get(address, ()))

    def take(self, address: str, number: int) -> None:
        """Note that a trial runs on a worker."""
        self._running.setdefault(address, set()).add(number)

    def quarantine(self, number: int) -> str | None:
        """Return an idle worker for a trial in quarantine; if there is none, reserve one, which then drains."""
        kept = next((address for address, trial in self._quarantine.items() if trial == number), None)
        if kept is None:
            usable = [
                a for a, w in sorted(self.workers.items()) if w.open and a not in self._quarantine and self.capacity(w)
            ]
            kept = min(usable, key=lambda address: len(self._running.get(address, ())), default=None)
            if kept is None:
                return None
            # Reserved while others still run there: else each slot that they free would be taken at once.
            self._quarantine[kept] = number
        return None if self._running.get(kept) else kept
