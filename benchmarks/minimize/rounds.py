"""Rounds: all who are measured take their turns one after the other, again and again, and never at the same time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.processes import ONE_THREAD, ROOT, environment, wait_until_quiet
from benchmarks.workload.data import Generated


@dataclass
class Peer:
    """A measured process: `python -m benchmarks.minimize.peers.<module>`, see `benchmarks.minimize.peers.serving`.

    Attributes:
        name: what it is called in the table.
        module: its name in `benchmarks.minimize.peers`.
        share: the part of the rows that it gets.
        python: the interpreter.
        threads: BLAS threads.
        every: it takes part in each so manieth round: turns that take long are rarer.
    """

    name: str
    module: str
    share: float = 1.0
    python: str = sys.executable
    threads: int = 1
    every: int = 1
    _process: subprocess.Popen[str] = field(init=False, repr=False)

    def start(self, data: Generated, dtype: str) -> None:
        """Start it."""
        size = ["--rows", str(int(self.share * data.rows)), "--features", str(data.features), "--dtype", dtype]
        threads = dict.fromkeys(ONE_THREAD, str(self.threads))
        self._process = subprocess.Popen(
            [self.python, "-m", f"benchmarks.minimize.peers.{self.module}", *size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(**threads),
            process_group=0,
        )

    def wait(self) -> None:
        """Wait until it holds its data, then let it rest."""
        self._line()
        self._signal(signal.SIGSTOP)

    def measure(self, seconds: float) -> dict[str, Any]:
        """Let it take its turn; with all that it started it is stopped before and after."""
        assert self._process.stdin
        self._signal(signal.SIGCONT)
        print(json.dumps({"seconds": seconds}), file=self._process.stdin, flush=True)
        answer = json.loads(self._line())
        self._signal(signal.SIGSTOP)
        return answer

    def stop(self) -> None:
        """End it and wait for its end; one that was never started is no error."""
        if hasattr(self, "_process"):
            self._signal(signal.SIGCONT)
            self._process.communicate(timeout=60)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself, which is told by whoever reads its answer
            os.killpg(self._process.pid, number)

    def _line(self) -> str:
        assert self._process.stdout
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"benchmarks.minimize.peers.{self.module} ended with exit code {self._process.wait()}")
        return line


@dataclass
class Rounds:
    """What rounds gave.

    Attributes:
        medians: name -> number of the round -> the median seconds of an evaluation.
        turns: how many turns there were.
        disturbed: how many of them began although other programs used the machine.
    """

    medians: dict[str, dict[int, float]] = field(default_factory=dict)
    turns: int = 0
    disturbed: int = 0

    def ratios(self, name: str, base: str) -> list[float]:
        """Return how many times the seconds of `base` another one took, for each round that both took part in."""
        pairs = ((median, self.medians[base].get(number)) for number, median in self.medians[name].items())
        return [median / other for median, other in pairs if other]


def take_turns(
    peers: Sequence[Peer], data: Generated, dtype: str, *, rounds: int, seconds: float, patience: float
) -> Rounds:
    """Start all peers, let each measure for about `seconds` in each round, check what they gave, and end them.

    Raises:
        RuntimeError: two peers disagree about loss or gradient, or one ended.
    """
    result = Rounds()
    first: dict[float, dict[str, float]] = {}
    try:
        for peer in peers:
            peer.start(data, dtype)
        for peer in peers:
            peer.wait()
        for number, peer in [(number, peer) for number in range(rounds) for peer in peers if number % peer.every == 0]:
            result.turns += 1
            result.disturbed += not wait_until_quiet(patience)
            answer = peer.measure(seconds)
            result.medians.setdefault(peer.name, {})[number] = statistics.median(answer.pop("seconds"))
            _check(peer, answer, first.setdefault(peer.share, answer), 1e-9 if dtype == "float64" else 1e-4)
    finally:
        for peer in peers:
            peer.stop()
    return result


def _check(peer: Peer, answer: Mapping[str, float], expected: Mapping[str, float], tolerance: float) -> None:
    """Raise RuntimeError if a peer's loss or gradient norm is not that of the first one with the same rows."""
    for what, value in answer.items():
        if abs(value / expected[what] - 1) > tolerance:
            raise RuntimeError(f"{what} by {peer.name!r} is {value}, but {expected[what]} by the first one")
