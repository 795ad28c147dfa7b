"""What a person reads at the end of a minimize job."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result: how it ended, the numbers, where the time went, and what to do next."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    style, verdict = ("green", "converged") if result["success"] else ("yellow", "not converged")
    again = " earlier (this run had ended already; nothing was done)" if result.get("already") else ""
    console.print(Text.assemble((verdict, f"bold {style}"), f"{again}: {result['message']}"))
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in _lines(result):
        table.add_row(Text(name, style="dim"), text)
    table.add_row(Text("run folder", style="dim"), run)
    console.print(table)
    if hint := result["diagnostics"].get("hint"):
        console.print(Text(f"hint: {hint}", style="yellow"))
    console.print(Text(f"plots: dask-jobs report {run}", style="dim"))


def _lines(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    spent = result["diagnostics"]
    norm = result["gradient_norm"]
    evaluations = (
        f"{result['nfev']:,} ({spent['replayed']:,} replayed from the journal)"
        if spent["replayed"]
        else f"{result['nfev']:,}"
    )
    where = f"{spent['workers']} worker{'s' * (spent['workers'] > 1)}" if spent["workers"] else "this process"
    shares = ", ".join(
        f"{spent[f'{part}_seconds'] / max(spent['seconds'], 1e-9):.0%} {name}"
        for part, name in {
            "compute": "computing",
            "communication": "communication",
            "load": "loading",
            "optimizer": "SciPy",
        }.items()
    )
    megabytes = f"{spent['bytes_sent'] / 1e6:,.1f} MB sent, {spent['bytes_received'] / 1e6:,.1f} MB received"
    return [
        ("loss", f"{result['fun']:.10g}"),
        *([("largest gradient entry", f"{norm:.3g}")] if norm is not None else []),
        ("method", f"{result['method']}, {result['parameters']:,} parameters, {spent['rows']:,} rows"),
        ("evaluations", evaluations),
        ("time", f"{result['seconds']:.2f} s on {where}: {shares}"),
        ("throughput", f"{spent['rows_per_second']:,.0f} rows/s; {megabytes}"),
        *([("attempt", f"{result['attempt']}")] if result["attempt"] > 1 else []),
    ]
