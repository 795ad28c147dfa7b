"""Fit a logistic model to x.npy and y.npy of a folder, print seconds, the loss and the largest memory as JSON.

Arguments: who fits, and the folder. The seconds are from the files to the model, without imports and the start of
workers; the memory is that of all processes together, each at its largest.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.peers.command import peak

L2 = 1.0


def ours(folder: Path) -> dict[str, float]:
    """Fit on two workers, which read their rows of the files."""
    from jobs import connect
    from jobs.minimize import Objective, logistic, minimize

    with connect(workers=2) as client:
        began = time.perf_counter()
        with Objective(client, logistic.problem(f"npy:{folder}"), l2=L2) as objective:
            theta = minimize(objective, tol=1e-9).x
            seconds = time.perf_counter() - began
            memory = peak() + sum(client.run(peak).values())
            return {"seconds": seconds, "loss": objective.loss(theta), "megabytes": memory}


def scikit_learn(folder: Path) -> dict[str, float]:
    """Fit in one process, which reads all rows; BLAS may use all cores."""
    from sklearn.linear_model import LogisticRegression

    began = time.perf_counter()
    x, y = (np.load(folder / f"{name}.npy") for name in "xy")
    model = LogisticRegression(C=1 / L2, tol=1e-6, max_iter=1000).fit(x, y)
    seconds, memory = time.perf_counter() - began, peak()
    scores = x @ model.coef_[0] + model.intercept_[0]
    loss = np.logaddexp(0, scores).sum() - scores @ y + L2 / 2 * (model.coef_**2).sum()
    return {"seconds": seconds, "loss": float(loss), "megabytes": memory}


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "scikit_learn": scikit_learn}[sys.argv[1]](Path(sys.argv[2]))))
