"""Teams: processes that compute something together, and take their turns when they are told."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Self

from benchmarks.processes import ROOT, environment


class Team:
    """Members `python -m benchmarks.train.peers.<module>`, see `benchmarks.train.peers.member`.

    Args:
        module: its name in `benchmarks.train.peers`.
        members: number of processes.
        settings: what else they are told.
    """

    def __init__(self, module: str, members: int, *settings: str) -> None:
        self._module = module
        ports = ",".join(map(str, _free_ports(members)))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", f"benchmarks.train.peers.{module}", str(rank), ports, *settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=environment(TF_CPP_MIN_LOG_LEVEL="3"),
            )
            for rank in range(members)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()

    def ask(self, **order: Any) -> list[dict[str, Any]]:
        """Give all members an order, and return what each answers.

        Raises:
            RuntimeError: one ended.
        """
        for process in self._processes:
            assert process.stdin
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps(order), file=process.stdin, flush=True)
        return [self._answer(process) for process in self._processes]

    def seconds(self, **order: Any) -> float:
        """Return how long an order took, from the moment when the last one began to that when the last one ended."""
        return together(self.ask(**order))

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout
        if not (line := process.stdout.readline()):
            raise RuntimeError(f"benchmarks.train.peers.{self._module} ended with exit code {process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def together(answers: Sequence[dict[str, float]]) -> float:
    """Return the seconds of what several did together: from when the last one began to when the last one ended."""
    return max(one["end"] for one in answers) - max(one["begin"] for one in answers)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]
