"""Placement: which trial runs on which worker; the slots of workers, what ran on a lost one, and quarantine.

Pure bookkeeping; a trial is a number, a worker an address.
"""

from __future__ import annotations

import heapq
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
        self._total = 0
        self._running: dict[str, set[int]] = {}
        # Worker -> the trial in quarantine that it is reserved for, also while it drains.
        self._quarantine: dict[str, int] = {}
        self._rooms: dict[str, int] = {}
        # Free slots -> a heap of the workers that had so many when they were put there: `free` looks at the first ones
        # alone, where a search of 1,000 workers would look at all of them for each trial.
        self._open: dict[int, list[str]] = {}

    def capacity(self, worker: Worker) -> int:
        """Return the slots of a worker: the number of trials that it runs at once, when it is ready."""
        by_threads = worker.threads // self._threads
        # 0.1 fits three times into 0.3, though the quotient of these floats is below 3.
        return min(by_threads, math.floor(worker.gpus / self._gpus + 1e-9)) if self._gpus else by_threads

    @property
    def total(self) -> int:
        """Number of slots of all workers."""
        return self._total

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
        for address, worker in workers.items():
            if self.workers.get(address) != worker:
                self.add(address, worker)
        return gone

    def add(self, address: str, worker: Worker) -> None:
        """Add a worker, or replace one that is ready now."""
        before = self.workers.get(address)
        self._total += self.capacity(worker) - (self.capacity(before) if before else 0)
        self.workers[address] = worker
        self._update(address)

    def lose(self, address: str) -> set[int]:
        """Remove a lost worker, and return the trials that ran there."""
        if worker := self.workers.pop(address, None):
            self._total -= self.capacity(worker)
        self._quarantine.pop(address, None)
        running = self._running.pop(address, set())
        self._update(address)
        return running

    def end(self, address: str, number: int) -> None:
        """Note that a trial no longer runs."""
        self._running.get(address, set()).discard(number)
        if self._quarantine.get(address) == number:
            del self._quarantine[address]
        self._update(address)

    def free(self) -> str | None:
        """Return the worker with the most free slots, the first of equals; None if there is none."""
        for room in sorted(self._open, reverse=True):
            heap = self._open[room]
            while heap and self._rooms.get(heap[0]) != room:
                heapq.heappop(heap)
            if heap:
                return heap[0]
            del self._open[room]
        return None

    def _update(self, address: str) -> None:
        """Note a worker's free slots where they have changed."""
        room = self._room(address)
        if self._rooms.get(address, 0) == room:
            return
        if room:
            self._rooms[address] = room
            heapq.heappush(self._open.setdefault(room, []), address)
        else:
            del self._rooms[address]

    def _room(self, address: str) -> int:
        if address in self._quarantine or address not in self.workers or not self.workers[address].open:
            return 0
        # At least 0: what came back at an address may have fewer threads.
        return max(self.capacity(self.workers[address]) - len(self._running.get(address, ())), 0)

    def take(self, address: str, number: int) -> None:
        """Note that a trial runs on a worker."""
        self._running.setdefault(address, set()).add(number)
        self._update(address)

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
            self._update(kept)
        return None if self._running.get(kept) else kept
