"""A scheduler, and workers that are many to one process, each in processes of their own: what they compute is apart."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import psutil
from distributed import Client

from benchmarks.processes import ROOT, environment

PER_PROCESS = 500


class Simulated:
    """A scheduler's process, and the processes of its workers.

    Attributes:
        address: the scheduler's.
    """

    def __init__(self, stack: contextlib.ExitStack, workers: int) -> None:
        self._stack = stack
        self._scheduler = stack.enter_context(_process("benchmarks.scale.scheduler"))
        assert self._scheduler.stdout
        self.address = self._scheduler.stdout.readline().strip()
        self.add(workers)

    def add(self, workers: int, *, wait: bool = True) -> None:
        """Start more workers, and wait until they have joined."""
        counts = [min(PER_PROCESS, workers - begun) for begun in range(0, workers, PER_PROCESS)]
        for count in counts:
            process = self._stack.enter_context(_process("benchmarks.scale.workers", self.address, str(count)))
            if wait:
                assert process.stdout
                process.stdout.readline()

    @property
    def scheduler_seconds(self) -> float:
        """What the scheduler has computed."""
        times = psutil.Process(self._scheduler.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def simulated(workers: int) -> Iterator[tuple[Simulated, Client]]:
    """Yield so many workers, and a client."""
    with contextlib.ExitStack() as stack:
        cluster = Simulated(stack, workers)
        yield cluster, stack.enter_context(Client(cluster.address))


@contextlib.contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", module, *arguments]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, cwd=ROOT, env=environment(), **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            # Not in order: 1,000 workers that leave one by one take half a minute.
            process.kill()
