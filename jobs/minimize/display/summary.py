"""The summary that a minimize job prints at its end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from jobs.errors import JobError
from jobs.formatting import decimal_bytes, plural, printable
from jobs.npy import read_header
from jobs.runs.display.console import print_rows
from jobs.runs.display.show import command_time
from jobs.storage import Storage, open_storage

FILE = "x.npy"
HEAD = 4096
"""More bytes than the header of an array has."""
SHOWN = 12
"""Maximum size of a theta that is printed."""


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result: how it ended, the numbers, where the time went, a hint, and the next command."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    verdict, message = head(result)
    again = " earlier (this run had ended already; nothing was done)" if result.get("already") else ""
    style = f"bold {'green' if result['success'] else 'yellow'}"
    console.print(Text.assemble((verdict, style), printable(f"{again}: {message}")))
    print_rows(console, [*lines(result, run), ("run folder", run)])
    if hint := result["diagnostics"].get("hint"):
        console.print(Text(printable(f"hint: {hint}"), style="yellow"))
    console.print(Text(printable(f"plots: dask-jobs report {run}"), style="dim"))
    if result.get("predicts"):
        console.print(Text(printable(f"predictions: dask-jobs predict {run} --data DATA"), style="dim"))
    if error := result.get("save_error"):
        console.print(Text(printable(f"warning: nothing was saved: {error}"), style="yellow"), soft_wrap=True)
    if dropped := result["diagnostics"].get("dropped"):
        damaged = damage(dropped, result["diagnostics"]["replayed"])
        console.print(Text(f"warning: the journal was {damaged}", style="yellow"), soft_wrap=True)
    if warning := _lost(result, run):
        console.print(Text(printable(f"warning: {warning}"), style="yellow"), soft_wrap=True)


def damage(dropped: int, replayed: int) -> str:
    """Return the text for a journal of which `dropped` evaluations, behind those `replayed`, cannot be used."""
    return f"damaged after {plural(replayed, 'evaluation')}; the next {dropped:,} are computed again, to the same bits"


def head(result: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a run has ended: in a word, and as SciPy says it."""
    return "converged" if result["success"] else "not converged", str(result["message"])


def lines(result: Mapping[str, Any], run: str) -> list[tuple[str, str]]:
    """Return the numbers of a result: names and texts."""
    spent, norm = result["diagnostics"], result["gradient_norm"]
    lost = spent.get("workers_lost", 0)
    return [
        ("loss", f"{result['fun']:.10g}"),
        *([("largest gradient entry", f"{norm:.3g}")] if norm is not None else []),
        *_accuracy(result),
        *_validation(result),
        *_theta(result, run),
        *_saved(result),
        ("method", f"{result['method']}, {result['parameters']:,} parameters, {spent['rows']:,} rows"),
        ("iterations", _evaluations(result)),
        ("time", _time(result)),
        *command_time(result),
        *([("lost workers", f"{lost:,}; their blocks were loaded again elsewhere")] if lost else []),
        *([("throughput", _throughput(spent))] if spent["evaluations"] else []),
    ]


def _accuracy(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    if error := result.get("accuracy_error"):
        return [("accuracy", f"not known: {error}")]
    return [("accuracy", f"{result['accuracy']:.2%} of the rows it was fitted to")] if "accuracy" in result else []


def _validation(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was found on the rows that are held out."""
    held = result.get("validation")
    if not held:
        return []
    if not held["rows"]:
        return [("validation", "no row was held out: the share is too small for so few rows")]
    right = f"{held['accuracy']:.2%} right, " if held.get("accuracy") is not None else ""
    loss = "not known (all weights are 0)" if held["loss"] is None else f"{held['loss']:.6g}"
    return [("validation", f"{right}mean loss {loss}, of {plural(held['rows'], 'row')} held out")]


def _theta(result: Mapping[str, Any], run: str) -> list[tuple[str, str]]:
    """Return theta, one row per name or all in one, or its file if it is long."""
    count, theta = result["parameters"], result.get("x", ())
    if count > SHOWN or not theta:
        return [("x", f"{count:,} numbers of norm {float(result['x_norm']):.6g}, in {run.rstrip('/')}/x.npy")]
    numbers = [f"{float(value):.10g}" for value in theta]
    if errors := result.get("standard_errors"):
        numbers = [f"{text} ± {float(error):.2g}" for text, error in zip(numbers, errors, strict=True)]
    if called := result.get("names"):
        found = [(f"  {name}", text) for name, text in zip(called, numbers, strict=True)]
        note = result.get("standard_errors_note")
        return [*found, ("standard errors", note)] if note else found
    return [("x", ", ".join(numbers))]


def _saved(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("saved", ", ".join(result["saved"]))] if result.get("saved") else []


def _lost(result: Mapping[str, Any], run: str) -> str:
    """Return what is wrong with x.npy of the run folder, and the remedy; nothing if it is there."""
    with contextlib.suppress(JobError):  # the job has ended well, whatever the storage does now
        storage = open_storage(run)
        wrong = _wrong(storage, result["parameters"]) if storage.exists("options.yaml") else ""
        if wrong:
            how = "its journal makes it again" if storage.list("journal/") else "it begins anew, without a journal"
            what = "result.json" if wrong == "missing" else "it and result.json"
            return f"{storage.address(FILE)} is {wrong}; delete {what} and give the same command: {how}"
    return ""


def _wrong(storage: Storage, count: int) -> str:
    """Return `missing`, `damaged` or nothing, by the header and the size alone, for theta may be long."""
    try:
        shape, _, dtype, length = read_header(storage.read_range(FILE, 0, HEAD))
        whole = storage.size(FILE) == length + count * dtype.itemsize
    except FileNotFoundError:
        return "missing"
    except ValueError:
        return "damaged"
    return "" if whole and shape == (count,) and dtype == np.dtype(np.float64) else "damaged"


def _evaluations(result: Mapping[str, Any]) -> str:
    iterations = "" if result["nit"] is None else f"{result['nit']:,}, with "
    hessians = f" and {result['nhev']:,} of the Hessian" if result["nhev"] else ""
    replayed = result["diagnostics"]["replayed"]
    return f"{iterations}{result['nfev']:,} evaluations{hessians}" + (
        f" ({replayed:,} replayed from the journal)" if replayed else ""
    )


def _time(result: Mapping[str, Any]) -> str:
    spent = result["diagnostics"]
    where = f"on {plural(spent['workers'], 'worker')}" if spent["workers"] else "in this process"
    total = f"{result['seconds']:.2f} s"
    if result["attempt"] > 1:
        total += f" in {result['attempt']} attempts, {spent['seconds']:.2f} s of them in the last"
    if not spent["evaluations"]:
        return f"{total}, all replayed"
    parts = {"compute": "computing", "communication": "communication", "load": "loading", "optimizer": "SciPy"}
    if not spent["workers"]:
        del parts["communication"]
    shares = (f"{spent[f'{part}_seconds'] / max(spent['seconds'], 1e-9):.0%} {name}" for part, name in parts.items())
    return f"{total} {where}: {', '.join(shares)}"


def _throughput(spent: Mapping[str, Any]) -> str:
    rows = f"{spent['rows_per_second']:,.0f} rows/s"
    if not spent["workers"]:
        return rows
    return f"{rows}; {decimal_bytes(spent['bytes_sent'])} sent, {decimal_bytes(spent['bytes_received'])} received"
