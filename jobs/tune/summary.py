"""The summary of a tune job, printed at its end."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from jobs.errors import JobError
from jobs.formatting import plural, printable, short
from jobs.runs.display.console import print_rows
from jobs.runs.display.progress import best_name
from jobs.runs.display.show import command_time
from jobs.storage import open_storage
from jobs.tune.records.identity import codes_text
from jobs.tune.records.result import check_result


def show(result: Mapping[str, Any], run: str) -> None:
    """Print a result: how it ended, the best trial, the counts of outcomes, and the path of the table.

    Raises:
        InputError: the result is damaged.
    """
    check_result(result, f"{run.rstrip('/')}/result.json")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    verdict, message = head(result)
    style = "green" if result["success"] else "yellow"
    again = " earlier (this run had ended already; nothing was done)" if result.get("already") else ""
    console.print(Text.assemble((verdict, f"bold {style}"), printable(f"{again}: {message}")))
    print_rows(console, [*lines(result), *_again(result), *_files(run), *_network(result, run), *_code(result)])


def _network(result: Mapping[str, Any], run: str) -> list[tuple[str, str]]:
    """Return what the best trial's network is good for, if it kept one, or why it is missing."""
    if error := result.get("network_error"):
        return [("network", f"not kept: {error}")]
    return [] if "network" not in result else [("predictions", f"dask-jobs predict {shlex.quote(run)} --data DATA")]


def _files(run: str) -> list[tuple[str, str]]:
    """Return the paths of further files, as far as they exist, and the next command."""
    storage, folder = open_storage(run), run.rstrip("/")
    lines = []
    with contextlib.suppress(JobError):  # the job has ended well, whatever the storage does now
        if storage.exists("trials.csv"):
            lines.append(("table", f"{folder}/trials.csv"))
        if storage.list("failures/"):
            lines.append(("tracebacks", f"{folder}/failures/"))
        if storage.exists("report.html"):
            lines.append(("report", f"{folder}/report.html"))
    return [*lines, ("next", f"dask-jobs report {shlex.quote(run)}")]


def head(result: Mapping[str, Any]) -> tuple[str, str]:
    """Return how a search has ended: in a word, and in a sentence."""
    return "done" if result["success"] else "nothing found", str(result["message"])


def lines(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the best trial and the numbers of a search: names and texts."""
    lines = []
    if best := result["best"]:
        by = f", by code {best['code']}" if "code" in best else ""
        lines.append((best_name(result["direction"][0]), f"{best['value']:.10g} (trial {best['number']}{by})"))
        lines += [(f"  {name}", short(value, 6)) for name, value in best["params"].items()]
    if front := result.get("front", []):
        lines.append(("Pareto front", plural(len(front), "trial")))
    for trial in front:
        values = ", ".join(f"{name} {value:.6g}" for name, value in trial["values"].items())
        values += f", by code {trial['code']}" if "code" in trial else ""
        params = ", ".join(f"{name} {short(value, 4)}" for name, value in trial["params"].items())
        lines.append((f"  trial {trial['number']}", f"{values}: {params}"))
    counts = {state: count for state, count in result["trials"].items() if count}
    counts |= {"unfinished": result["unfinished"]} if result["unfinished"] else {}
    attempts = f" in {result['attempt']} attempts" if result["attempt"] > 1 else ""
    workers = plural(result["workers"], "worker")
    return [
        *lines,
        ("trials", ", ".join(f"{count:,} {state}" for state, count in counts.items()) or "none"),
        *_retried(result),
        *_lost(result),
        *_left_out(result),
        ("search", f"{result['sampler']}, pruner {result['pruner']}"),
        ("time", f"{result['seconds']:.2f} s on {workers}{attempts}"),
        *command_time(result),
    ]


def _again(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how failed trials are run again."""
    failed = result["trials"].get("failed", 0)
    again = f"the same command with --retry failed, once their cause is mended: {plural(failed, 'trial')}"
    return [("again", again)] if failed else []


def _retried(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how the trials ended that were tried again after they had failed."""
    counts = result.get("retried", {})
    return [("retried", ", ".join(f"{count:,} {state}" for state, count in counts.items()))] if counts else []


def _lost(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    count = result["lost_executions"]
    return [("lost workers", f"{plural(count, 'execution')} retried")] if count else []


def _left_out(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the objective has returned and no table has."""
    names = ", ".join(map(printable, result.get("left_out", ())))
    return [("left out", f"{names}: not a number; keep it in trial.checkpoint, or by set_user_attr")] if names else []


def _code(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the codes of trials, if any is not the present one's: the last line, since it may be stale."""
    text = codes_text(result["codes"], result["identity"])
    return [("code", text)] if text else []
