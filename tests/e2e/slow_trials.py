"""Objectives for the tests' releases: they mostly sleep, so they last long enough to be disturbed on any machine."""

import json
import os
import time

STEPS = 8
SECONDS = float(os.environ.get("SLOW_SECONDS", "0.5"))
"""How long a step takes."""


def train(params, trial):
    """Take 8 steps, saving each, and keep in `tries` after which step each try of the trial went on."""
    state = trial.checkpoint / "state.json"
    saved = json.loads(state.read_text()) if state.exists() else {"step": 0, "tries": []}
    saved["tries"].append(saved["step"])
    for step in range(saved["step"] + 1, STEPS + 1):
        time.sleep(SECONDS)
        state.write_text(json.dumps(saved | {"step": step}))
        trial.report(params["x"] * step, step)
    return params["x"] * STEPS


def timed(params):
    """Sleep, and return when that was beside the score."""
    began = time.time()
    time.sleep(SECONDS)
    return {"score": params["x"], "began": began, "ended": time.time()}


def failing(params):
    """Raise for half of the space."""
    if params["x"] < 0:
        raise LookupError(f"no such row: {params['x']:.3f}")
    return params["x"]
