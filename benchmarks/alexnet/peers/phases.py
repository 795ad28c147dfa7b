"""What each process does that shuffles: one phase for each line on its input, answered by a line of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

PARTITION = 1000
"""Images that lie together, before the shuffle and after it."""
Phases = Callable[[int, int], Iterator[dict[str, Any]]]
"""Given the number of images and the pixels of a side: yields when all is started, when the images are there, and the
`seconds` of a shuffle."""


def serve(phases: Phases) -> None:
    """Answer what each phase yields, for `python -m benchmarks.alexnet.peers.<module> IMAGES SIDE`."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for answer in phases(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(answer), file=answers, flush=True)
        sys.stdin.readline()
