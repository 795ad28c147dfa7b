"""The user's side of the tests of observers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def train(parameters: dict[str, float], trial: Any) -> float:
    """Report once, and return x."""
    trial.report(parameters["x"], 1)
    return parameters["x"]


def observe(event: dict[str, Any]) -> None:
    """Append the event to a file, and raise at the second one."""
    with Path(os.environ["EVENTS"]).open("a") as file:
        file.write(json.dumps(event) + "\n")
    if event["event"] == "values" and event["step"] == 2:
        raise ValueError("a bug of mine")
