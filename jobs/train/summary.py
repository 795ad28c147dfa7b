"""The summary that a train job prints at its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from jobs.formatting import plural, printable, short
from jobs.runs.display.console import print_rows
from jobs.runs.display.show import command_time
from jobs.train.loop.timeline import slow_text
from jobs.train.outcome import model_numbers, weights_text

PARTS = {
    "compute": "computing",
    "exchange": "exchange and waiting",
    "apply": "optimizer",
    "data": "data",
    "validation": "validation",
    "files": "files",
    "rest": "rest",
}
SHOWN = 0.005
"""Share of the time from which on a part is named."""


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result: how it ended, the metrics, where the time went, and the next command."""
    show_with(result, run, (), predicts="--data DATA")


def show_with(result: Mapping[str, Any], run: str, more: Sequence[tuple[str, str]], *, predicts: str) -> None:
    """Print a result, and what else there is to say.

    Args:
        result: of the run.
        run: its folder.
        more: other lines, as (name, text), before that of the folder.
        predicts: arguments of the command that predicts by its network.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    verdict, message = head(result)
    style = "green" if result["success"] else "yellow"
    again = " earlier (this run had ended already; nothing was done)" if result.get("already") else ""
    console.print(Text.assemble((verdict, f"bold {style}"), printable(f"{again}: {message}")))
    *numbers, folder = lines(result, run)
    print_rows(console, [*numbers, *more, folder])
    if skipped := result.get("skipped"):
        text = f"{plural(skipped, 'step')} of {result['steps']:,} were skipped, since their loss was not finite"
        console.print(Text(printable(text), style="yellow"))
    if slow := result.get("slowest"):
        console.print(Text(printable(slow_text(slow)), style="yellow"))
    if advice := result.get("hint"):
        console.print(Text(printable(f"hint: {advice}"), style="yellow"))
    console.print(Text(printable(f"plots: dask-jobs report {run}"), style="dim"))
    console.print(Text(printable(f"predictions: dask-jobs predict {run} {predicts}"), style="dim"))


def head(result: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a training has ended: in a word, and in a sentence."""
    return "trained" if result["success"] else "not trained", str(result["message"])


def lines(result: Mapping[str, Any], run: str) -> list[tuple[str, str]]:
    """Return the numbers of a result: names and texts, the run folder last."""
    lines = [(_name(name), short(value, 5)) for name, value in model_numbers(result).items()]
    if best := result.get("best"):
        lines.append(("lowest loss", f"{short(best['loss'], 5)}, of epoch {best['epoch']}"))
    samples = f", {result['samples']:,} samples" if result["samples"] else ""
    lines += [
        ("model", f"{result['parameters']:,} parameters"),
        ("weights", weights_text(result)),
        ("epochs", f"{result['epochs']:,}, {result['steps']:,} steps{samples}"),
        ("time", _time(result)),
        *command_time(result),
        ("run folder", f"{run} (model.keras, weights.npz)"),
    ]
    return lines


def _name(name: str) -> str:
    return f"{name.removeprefix('val_')} (validation)" if name.startswith("val_") else name


def _time(result: Mapping[str, Any]) -> str:
    where = f"on {plural(result['workers'], 'worker')}" if result["workers"] else "in this process"
    total = f"{result['seconds']:.2f} s"
    if result["attempt"] > 1:
        total += f" in {result['attempt']} attempts"
    if lost := result.get("lost_workers"):
        where += f", {lost} lost"
    spent = {name: float(result["spent"].get(name, 0.0)) for name in PARTS}
    if not (whole := sum(spent.values())):
        return f"{total} {where}"
    shares = (f"{spent[name] / whole:.0%} {text}" for name, text in PARTS.items() if spent[name] >= SHOWN * whole)
    return f"{total} {where}: {', '.join(shares)}"
