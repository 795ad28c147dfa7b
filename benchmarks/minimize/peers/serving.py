"""What each measured process does: make its data once, then answer orders to measure until its input ends.

An order is a line on standard input, {"seconds": 0.5}; the answer a line on standard output: the seconds of each
evaluation, and what the first one gave: {"seconds": [...], "loss": ..., "gradient": <its norm>}.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload.data import Generated, theta

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray]]
Contender = Callable[[Generated, str], contextlib.AbstractContextManager[Evaluate]]
"""Given data and dtype: makes evaluate(theta), and takes down what it needed at its end."""
AT_LEAST, AT_MOST = 2, 30
"""Evaluations in one turn."""


def serve(contender: Contender, *, keep: bool = True) -> None:
    """Be a measured process; with `keep` false, all is made for each order and does not exist in between."""
    arguments = _arguments()
    data = Generated(arguments.rows, arguments.features)
    answers, sys.stdout = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(contender(data, arguments.dtype)) if keep else None
        print("ready", file=answers, flush=True)
        for order in sys.stdin:
            with contextlib.ExitStack() as turn:
                evaluate = kept or turn.enter_context(contender(data, arguments.dtype))
                reply = _measure(evaluate, data.size, json.loads(order)["seconds"])
            print(json.dumps(reply), file=answers, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--features", type=int, required=True)
    parser.add_argument("--dtype", choices=["float64", "float32"], required=True)
    return parser.parse_args()


def _measure(evaluate: Evaluate, size: int, seconds: float) -> dict[str, Any]:
    """Evaluate at one point after the other for about `seconds`; the first one is not timed."""
    loss, gradient = evaluate(theta(0, size))
    times: list[float] = []
    for number in itertools.count(1):
        if len(times) == AT_MOST or (len(times) >= AT_LEAST and sum(times) > seconds):
            break
        point = theta(number, size)
        began = time.perf_counter()
        evaluate(point)
        times.append(time.perf_counter() - began)
    return {"seconds": times, "loss": float(loss), "gradient": float(np.linalg.norm(gradient))}
