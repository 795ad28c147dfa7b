"""The price of `--cpu portable`: softmax's kernel by the instructions of x86-64-v3, and by all that this machine has.

Two processes, one of each kind, are timed in turns. Each is this module: it computes once per line that it reads, and
answers with the CPU seconds, which other work on the machine changes less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

ROWS = 8192


def run(repeats: int) -> list[dict[str, Any]]:
    """Return a row for each dtype: median milliseconds of a block, and the ratio with its spread."""
    from jobs.cpu import PORTABLE

    return [_compare(dtype, PORTABLE, repeats) for dtype in ("float64", "float32")]


def _compare(dtype: str, variables: dict[str, str], repeats: int) -> dict[str, Any]:
    plain = {name: value for name, value in os.environ.items() if name not in variables}
    with _start(dtype, plain) as native, _start(dtype, plain | variables) as portable:
        pairs = [(_ask(native), _ask(portable)) for _ in range(repeats)]
    ratios = sorted(slow / fast for fast, slow in pairs)
    return {
        "dtype": dtype,
        "native_ms": 1e3 * statistics.median(fast for fast, _ in pairs),
        "portable_ms": 1e3 * statistics.median(slow for _, slow in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
    }


def _start(dtype: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.minimize.portable", dtype]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def _serve(dtype: str) -> None:
    import numpy as np
    from threadpoolctl import threadpool_limits

    from benchmarks.minimize.kernel import CLASSES, FEATURES, Generated
    from jobs.minimize.softmax import Softmax

    rng = np.random.default_rng(0)
    data = Generated(rng.random((ROWS, FEATURES), dtype=np.float32), rng.integers(0, CLASSES, ROWS))
    problem, theta = Softmax(data, dtype), rng.normal(0, 0.1, CLASSES * (FEATURES + 1))
    with threadpool_limits(limits=1):
        block = problem.load(0, ROWS)
        problem.value_and_grad(theta, block)  # the first one makes its buffers
        for _ in sys.stdin:
            began = time.process_time()
            problem.value_and_grad(theta, block)
            print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
