"""What each process does that shuffles: one phase for each line on its input, answered by a line of JSON."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator
from typing import Any

PARTITION = 1000
"""Images that lie together, before the shuffle and after it."""
Phases = Callable[[int, int], Generator[dict[str, Any]]]
"""Given the number of images and the pixels of a side: yields when all is started, when the images are there, and the
`seconds` of a shuffle."""


def serve(phases: Phases) -> None:
    """Answer what each phase yields, for `python -m benchmarks.alexnet.peers.<module> IMAGES SIDE`."""
    answers, sys.stdout = sys.stdout, sys.stderr
    with contextlib.closing(phases(int(sys.argv[1]), int(sys.argv[2]))) as running:
        for answer in running:
            print(json.dumps(answer), file=answers, flush=True)
            if not sys.stdin.readline():
                return
