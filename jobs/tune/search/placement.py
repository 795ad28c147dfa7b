"""Which trial runs where: slots of workers, what ran on one that was lost, and which trials are to run alone.

Pure bookkeeping; a trial is a number, a worker an address.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.errors import argument


@dataclass(frozen=True)
class Worker:
    """What one worker has: compute threads, and GPUs as it declares them (Dask's resource `GPU`).

    One that is not ready gets no trials yet, one that is paused (Dask does so when memory is short) no more of them.
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
        threads: compute threads of a trial.
        gpus: GPUs of a trial; 0 leaves GPUs out of account.
    """

    def __init__(self, threads: int, gpus: float) -> None:
        self._threads, self._gpus = threads, gpus
        self.workers: dict[str, Worker] = {}
        self._running: dict[str, set[int]] = {}
        self._quarantine: dict[
            str, int
        ] = {}  # workers that are kept for one trial in quarantine, also while they drain

    def capacity(self, worker: Worker) -> int:
        """Return how many trials a worker runs at once, when it is ready."""
        by_threads = worker.threads // self._threads
        # Three times 0.1 fits into 0.3, though the quotient of these floats is below 3.
        return min(by_threads, math.floor(worker.gpus / self._gpus + 1e-9)) if self._gpus else by_threads

    @property
    def total(self) -> int:
        """How many trials all workers run at once."""
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
        """Take over which workers there are, and return the addresses of those that are gone."""
        # Those that are gone stay until `lose`: what ran there is still to be asked for.
        gone = [address for address in self.workers if address not in workers]
        self.workers = {**{address: self.workers[address] for address in gone}, **workers}
        return gone

    def add(self, address: str, worker: Worker) -> None:
        """Take a worker over, or that it is ready now."""
        self.workers[address] = worker

    def lose(self, address: str) -> set[int]:
        """Forget a worker, and return the trials that ran there."""
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
        """Return a worker without trials, for one in quarantine; if there is none, keep one that is to drain."""
        kept = next((address for address, trial in self._quarantine.items() if trial == number), None)
        if kept is None:
            usable = [
                a for a, w in sorted(self.workers.items()) if w.open and a not in self._quarantine and self.capacity(w)
            ]
            kept = min(usable, key=lambda address: len(self._running.get(address, ())), default=None)
            if kept is None:
                return None
            # From now on, while others still run there: each slot that they leave would be taken at once.
            self._quarantine[kept] = number
        return None if self._running.get(kept) else kept
