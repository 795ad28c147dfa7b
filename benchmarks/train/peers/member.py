"""What each member of a team does: `python -m benchmarks.train.peers.<module> RANK PORT,PORT,... SETTING ...`.

An order is a line on standard input, a JSON object; the answer a line on standard output. `begin` and `end` of it are
seconds of the machine's clock, the same for all processes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Work = Callable[..., dict[str, Any]]


def serve(make: Callable[..., Work]) -> None:
    """Make this member's work by make(rank, ports, *settings), and do it for each order until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    rank, ports, *settings = sys.argv[1:]
    work = make(int(rank), [int(port) for port in ports.split(",")], *settings)
    for order in sys.stdin:
        print(json.dumps(work(**json.loads(order))), file=answers, flush=True)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Do something, and return when it began and ended."""
    begin = time.monotonic()
    work()
    return {"begin": begin, "end": time.monotonic()}
