"""What all who run a search are asked, and what they answer: `--trials N --sleep SECONDS` -> `{"seconds": ...}`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

WORKERS = 2
LOW, HIGH = 1e-6, 10.0


def serve(search: Callable[[int, float], float]) -> None:
    """Run a search of so many trials that sleep so many seconds each, and print how long it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--sleep", type=float, required=True)
    arguments = parser.parse_args()
    print(json.dumps({"seconds": search(arguments.trials, arguments.sleep)}), flush=True)
