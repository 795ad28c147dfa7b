"""An objective that is mended: while the file `broken` is there, its first three trials raise."""

from __future__ import annotations

from pathlib import Path

import trials

from jobs.tune import space

SPACE = {"x": space.uniform(0, 1)}


def train(params, trial):
    """Report two steps, of which a broken one has other values; it waits at the second while `hold` is there."""
    folder = Path(params["folder"])
    broken = (folder / "broken").exists()
    (folder / f"run-{trial.number}-{len(list(folder.glob(f'run-{trial.number}-*')))}").touch()
    (trial.checkpoint / "steps").write_text("1")
    trial.report(-1.0 if broken and trial.number < 3 else params["x"], 1)
    if (folder / "hold").exists() and trial.number == 2:
        trials.wait_for(params, "go")
    if broken and trial.number < 3:
        raise ValueError(f"broken {trial.number}")
    trial.report(params["x"], 2)
    return params["x"]
