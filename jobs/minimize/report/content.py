"""The content of a minimize run's report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.utils import format_bytes

from jobs.formatting import number, plural
from jobs.minimize.report.curves import progress
from jobs.minimize.report.history import History, read_history
from jobs.minimize.report.parameters import MAX_PARAMETERS, parameters
from jobs.minimize.report.weights import weights
from jobs.report.content import Content, Share
from jobs.report.html import duration
from jobs.report.page import Section
from jobs.report.theme import BLUE, GREEN, ORANGE, PURPLE
from jobs.runs.folder import read_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

PARTS = (
    ("compute_seconds", "Compute", BLUE, "loss and gradient of the problem, on the workers"),
    ("communication_seconds", "Communication", ORANGE, "messages, and waiting for the slowest worker"),
    ("optimizer_seconds", "Optimizer", PURPLE, "SciPy and the journal, on the driver"),
    ("load_seconds", "Loading", GREEN, "reading the data, on the workers"),
)
NUMBERS = {
    "fun": "Loss at the optimum",
    "gradient_norm": "Largest gradient entry",
    "accuracy": "Accuracy (share of the rows it was fitted to)",
    "x_norm": "Norm of the parameters",
    "parameters": "Parameters",
    "nit": "Iterations",
    "nfev": "Evaluations of the loss",
    "njev": "Evaluations of the gradient",
    "nhev": "Evaluations of the Hessian",
}
HELD_OUT = {
    "rows": "Rows held out",
    "loss": "Mean loss on rows held out",
    "accuracy": "Accuracy on rows held out",
}
WORK: dict[str, tuple[str, Callable[[Any], str]]] = {
    "evaluations": ("Evaluations by the workers", "{:,}".format),
    "replayed": ("Evaluations replayed from the journal", "{:,}".format),
    "rows": ("Rows of the data", "{:,}".format),
    "rows_per_second": ("Rows per second", "{:,.0f}".format),
    "workers_lost": ("Workers lost", "{:,}".format),
    "bytes_sent": ("Sent to the workers", format_bytes),
    "bytes_received": ("Received from the workers", format_bytes),
}
VERBS = {"failed": "failed", "stopped": "was stopped", "running": "is running"}


def title(run: RunFolder) -> str:
    """Return the run's title, such as `minimize · L-BFGS-B · digits`."""
    subject = run.options.get("problem") or run.options.get("data") or "digits"
    return f"{run.job} · {_method(run)} · {subject}"


def summary(run: RunFolder, history: History) -> str:
    """Return in one sentence how the run ended, or where it is."""
    if run.result:
        return _ended(run.result)
    best = history.lowest
    sentence = f"{_method(run)} {VERBS.get(run.state, 'has not begun')}"
    sentence += f" in attempt {run.status.get('attempt', 1)} after {plural(len(history), 'evaluation')}"
    if best is None:
        return sentence + "."
    return f"{sentence}; the lowest so far is {_point(history.loss[best], history.gradient_norm[best])}."


def _method(run: RunFolder) -> str:
    return str(run.result.get("method") or run.options.get("method"))


def _ended(result: dict[str, Any]) -> str:
    verb = "converged to" if result["success"] else "ended without success at"
    point = _point(result["fun"], result.get("gradient_norm"))
    work = f"after {plural(result['nfev'], 'evaluation')} in {duration(result['seconds'])}"
    where = f"on {plural(result['workers'], 'worker')}" if result["workers"] else "in one process"
    attempts = plural(result["attempt"], "attempt")
    return f"{result['method']} {verb} {point} {work} {where}, in {attempts}: “{str(result['message']).rstrip('.')}”."


def _point(loss: float | str, gradient_norm: float | str | None) -> str:
    """Return a point's loss and largest gradient entry as text; infinity and nan come as text from JSON."""
    norm = math.nan if gradient_norm is None else float(gradient_norm)
    return f"loss {number(float(loss))}" + (
        "" if math.isnan(norm) else f" with largest gradient entry {number(norm, 3)}"
    )


def sections(run: RunFolder, history: History, x: NDArray[np.float64] | None) -> list[Section]:
    """Return the sections of a minimize job; what an unfinished run does not have yet is left out.

    Args:
        run: the run folder.
        history: its evaluations.
        x: theta (n,) of x.npy, if it is there.
    """
    found = [*(_parameters(run.result, x) if run.result else []), progress(history, finished=bool(run.result))]
    if run.result:
        found += [_time(run.result), *_pictures(run.result, x), _numbers(run.result)]
    return found


def _parameters(result: dict[str, Any], x: NDArray[np.float64] | None) -> list[Section]:
    """Return theta as a table and a bar chart if it is short, from x.npy or from what result.json lists."""
    theta = np.array(result.get("x", ()), dtype=np.float64) if x is None else x
    names = result.get("names") or [f"x[{index}]" for index in range(theta.size)]
    errors, note = result.get("standard_errors"), result.get("standard_errors_note", "")
    return (
        [parameters(names, theta, errors, note)]
        if 0 < theta.size <= MAX_PARAMETERS and len(names) == theta.size
        else []
    )


def _pictures(result: dict[str, Any], x: NDArray[np.float64] | None) -> list[Section]:
    """Return the weights of softmax regression on images, which come first in theta, class by class."""
    shape, classes = result.get("image_shape"), result.get("classes")
    if x is None or not shape or not classes:
        return []
    return [weights(x[: classes * math.prod(shape)].reshape(classes, *shape))]


def _time(result: dict[str, Any]) -> Section:
    """Return where the seconds of the last attempt went: advice, a stacked bar, and the same as a table."""
    diagnostics = result["diagnostics"]
    seconds = {key: float(diagnostics[key]) for key, *_ in PARTS}
    total = sum(seconds.values()) or math.inf
    parts = [
        Share(name, colour, duration(seconds[key]), seconds[key] / total, meaning)
        for key, name, colour, meaning in PARTS
    ]
    replayed = f"In the last attempt, which took {plural(diagnostics['replayed'], 'evaluation')} of earlier ones"
    note = f"{replayed} from the journal." if result["attempt"] > 1 else ""
    head = ("Part", "Time", "Share", "What it is")
    data = {"text": diagnostics.get("hint", ""), "note": note, "head": head, "parts": parts}
    return Section("Where the time went", "report/shares.html", data)


def _numbers(result: dict[str, Any]) -> Section:
    """Return the result with all its digits."""
    held = result.get("validation") or {}
    rows = [(name, result[key]) for key, name in NUMBERS.items() if result.get(key) is not None]
    rows += [(name, held[key]) for key, name in HELD_OUT.items() if held.get(key) is not None]
    rows += [(name, text(result["diagnostics"][key])) for key, (name, text) in WORK.items()]
    return Section("Result in numbers", "report/table.html", {"head": ("Quantity", "Value"), "rows": rows})


def content(run: RunFolder, storage: Storage) -> Content:
    """Return the content of a minimize run's report.

    Raises:
        InputError: history.csv or x.npy is damaged.
    """
    history, x = read_history(storage), read_array(storage, "x.npy")
    return Content(title(run), summary(run, history), sections(run, history, x), __package__)
