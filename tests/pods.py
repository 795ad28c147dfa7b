"""The processes of a release's pods, started here as they are on Kubernetes."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from waiting import until

_ports = itertools.count(10_000 + os.getpid() % 200 * 100)
"""Below those that the kernel gives to anybody, and others in each process of pytest-xdist."""


def free_port() -> int:
    """Return a port that nothing listens on, and that no other test gets."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


class Pods:
    """Starts processes of a release whose files lie in one folder, each with a log of its own.

    Args:
        folder: where the logs and job.yaml lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
        """Start `python -m` arguments with its output in the log `name`."""
        place = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **place, **environment},
            )
        self._processes.append(process)
        return process

    def scheduler(self, identity: str = "space/fit/1", **environment: str) -> subprocess.Popen[bytes]:
        """Start the scheduler."""
        arguments = ("--id", identity, "--port", self.port, "--dashboard-port", 0)
        return self.start("scheduler", "jobs.pods.scheduler", *arguments, **environment)

    def worker(self, name: str = "worker", *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        place = ("--scheduler", environment.pop("address", self.address), "--id", "space/fit/1", "--port", 0)
        return self.start(name, "jobs.pods.worker", *place, "--name", name, *arguments, **environment)

    def driver(self, options: dict[str, object], **environment: str) -> subprocess.Popen[bytes]:
        """Start a driver of the minimize job with the release's options."""
        place = {"job": "minimize", "run": str(self.folder / "run"), "scheduler": self.address, "workers": 1}
        (self.folder / "job.yaml").write_text(yaml.safe_dump({**place, **options}))
        return self.start("driver", "jobs.pods.driver", "minimize", "--config", self.folder / "job.yaml", **environment)

    def log(self, name: str) -> str:
        """Return what a process has written so far."""
        return (self.folder / f"{name}.log").read_text()

    def until(self, name: str, text: str, count: int = 1, seconds: float = 240.0) -> None:
        """Wait until a log holds a text that many times."""
        until(
            lambda: self.log(name).count(text) >= count,
            log=lambda: f"no {text!r} in the log of {name}:\n{self.log(name)}",
            seconds=seconds,
        )

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def pods_in(folder: Path) -> Iterator[Pods]:
    """Yield the processes of a release; none is left afterwards."""
    pods = Pods(folder)
    try:
        yield pods
    finally:
        pods.end()
