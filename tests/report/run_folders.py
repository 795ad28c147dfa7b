"""Run folders as a minimize job leaves them, made in code: softmax regression on synthetic 28 by 28 images."""

from __future__ import annotations

import io
import json
from functools import cache, partial

import numpy as np
import scipy.optimize
import scipy.special
import yaml

from jobs.minimize.options import Options
from jobs.storage import open_storage

HEIGHT = WIDTH = 28
CLASSES = 10
PIXELS = HEIGHT * WIDTH
UPDATED = 1_772_619_630.5  # 2026-03-04 10:20:30 UTC
OPTIONS = {
    "job": "minimize",
    **Options(data="digits", l2=2.4, max_iterations=200, workers=4, options={"maxcor": 10}).model_dump(mode="json"),
}
DIAGNOSTICS = {
    "evaluations": 41,
    "replayed": 18,
    "rows": 60_000,
    "seconds": 21.04,
    "compute_seconds": 14.1,
    "communication_seconds": 4.9,
    "optimizer_seconds": 0.34,
    "load_seconds": 1.7,
    "bytes_sent": 10_299_200,
    "bytes_received": 10_301_824,
    "rows_per_second": 174_468.0,
    "workers": 4,
    "workers_lost": 1,
    "overhead": 0.26,
    "hint": "A quarter of the time went into messages: fewer workers, or larger blocks, may be as fast.",
}
VERSIONS = {"python": "3.11.7", "numpy": "2.4.1", "scipy": "1.17.0", "distributed": "2026.8.0", "dask-jobs": "0.1.0"}


def images(rows=1200):
    """Return (x, labels): noisy images of ten strokes, (rows, pixels) float64 in 0..1, and (rows,) int."""
    random = np.random.default_rng(0)
    across, down = np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT))
    turns = np.pi * np.arange(CLASSES) / CLASSES
    offset = [across * np.cos(turn) + down * np.sin(turn) - 0.25 * np.sin(3 * turn) for turn in turns]
    strokes = np.array([np.exp(-((each / 0.18) ** 2) - 1.4 * (across**2 + down**2)) for each in offset])
    labels = random.integers(CLASSES, size=rows)
    ink = strokes[labels].reshape(rows, PIXELS) * random.uniform(0.3, 1, (rows, 1))
    return (ink + 0.45 * random.normal(size=ink.shape)).clip(0, 1), labels


@cache
def optimization():
    """Run L-BFGS-B on softmax regression; return SciPy's result, and the rows of the history."""
    x, labels = images()
    truth, rows = np.eye(CLASSES)[labels], []

    def value_and_grad(theta):
        scores = x @ theta[:-CLASSES].reshape(CLASSES, PIXELS).T + theta[-CLASSES:]
        log_p = scores - scipy.special.logsumexp(scores, axis=1, keepdims=True)
        error = np.exp(log_p) - truth
        gradient = np.concatenate([(error.T @ x).ravel(), error.sum(axis=0)]) + 2.4 * theta
        loss = 1.2 * theta @ theta - (log_p * truth).sum()
        rows.append((len(rows) + 1, 0.31 * len(rows) + 2.5, float(loss), float(np.abs(gradient).max())))
        return loss, gradient

    start = np.zeros(PIXELS * CLASSES + CLASSES)
    outcome = scipy.optimize.minimize(value_and_grad, start, jac=True, method="L-BFGS-B")
    return outcome, rows


def history_csv(rows):
    """Return the text of history.csv for rows (evaluation, seconds, loss, gradient norm or None)."""
    lines = [",".join("" if value is None else repr(value) for value in row) for row in rows]
    return "\n".join(["evaluation,seconds,loss,gradient_norm", *lines, ""])


def write_run(path, files):
    """Write `files` (name: text, bytes, or what becomes JSON or YAML) as a run folder; return its storage."""
    storage = open_storage(path)
    for name, content in files.items():
        as_text = partial(yaml.safe_dump, sort_keys=False) if name.endswith(".yaml") else json.dumps
        text = as_text(content) if isinstance(content, dict) else content
        storage.write(name, text if isinstance(text, bytes) else text.encode())
    return storage


def npy(x):
    """Return the bytes of x.npy."""
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


def done(**changes):
    """Return the files of a run that ended well, with `changes` to its result."""
    outcome, rows = optimization()
    result = {
        "job": "minimize",
        "success": bool(outcome.success),
        "message": str(outcome.message),
        "seconds": rows[-1][1] + 1.2,
        "attempt": 2,
        "workers": 4,
        "versions": VERSIONS,
        "method": "L-BFGS-B",
        "fun": float(outcome.fun),
        "nit": int(outcome.nit),
        "nfev": len(rows),
        "njev": len(rows),
        "nhev": 0,
        "gradient_norm": rows[-1][3],
        "parameters": outcome.x.size,
        "diagnostics": DIAGNOSTICS,
        "image_shape": [HEIGHT, WIDTH],
        "classes": CLASSES,
    } | changes
    return {
        "options.yaml": OPTIONS,
        "status.json": {"state": "done", "attempt": 2, "updated": UPDATED, "workers": 4},
        "history.csv": history_csv(rows),
        "x.npy": npy(outcome.x),
        "result.json": result,
    }


def running():
    """Return the files of a run half way: no result and no x yet."""
    _, rows = optimization()
    half = rows[: len(rows) // 2]
    metrics = {"loss": half[-1][2], "gradient_norm": half[-1][3]}
    progress = {"done": len(half), "total": 200, "at_most": True}
    status = {"state": "running", "attempt": 1, "progress": progress, "metrics": metrics, "workers": 4}
    return {
        "options.yaml": OPTIONS,
        "status.json": status | {"updated": UPDATED},
        "history.csv": history_csv(half),
    }


def failed(error, details=""):
    """Return the files of a run that failed before its first evaluation."""
    status = {
        "job": "minimize",
        "state": "failed",
        "attempt": 1,
        "updated": UPDATED,
        "error": error,
        "details": details,
    }
    return {"options.yaml": OPTIONS, "status.json": status}
