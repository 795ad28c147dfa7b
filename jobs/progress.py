"""What a person sees while a job runs: one live line on a terminal, JSON log lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from jobs.log import log

SHORT = {"gradient_norm": "|g|", "evaluations_per_second": "evaluations/s"}
"""Names as the terminal's one line has room for them."""
LOG_SECONDS = 5.0
"""How often a JSON line is written where there is no terminal."""


class Bar:
    """One live line on standard error where that is a terminal, and nothing elsewhere; a context manager.

    Args:
        name: shown first.
        total: how many steps there are at most; the ETA is for them (None: not known yet).
        redirect_stdout: whether what is printed meanwhile goes above the line.
    """

    def __init__(self, name: str, total: int | None, *, redirect_stdout: bool = True) -> None:
        self._live: Progress | None = None
        if sys.stderr.isatty():
            self._live = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=24),
                TaskProgressColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[metrics]}"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(stderr=True, highlight=False),
                transient=True,
                redirect_stdout=redirect_stdout,
            )
            self._task = self._live.add_task(name, total=total, metrics="")

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Return metrics as the live line has room for them."""
    return "  ".join(f"{SHORT.get(name, name)} {value:.4g}" for name, value in metrics.items())


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """Return a log line's event and message, or its fields if it has none, as people read it."""
    text = fields.get("message") or " ".join(f"{name}={fields[name]}" for name in fields if name != "message")
    return f"{event}: {text}"


class Reporter(Bar):
    """Shows a job's progress on standard error: a bar with an ETA on a terminal, else a JSON line every few seconds.

    Args:
        job: the job's name, shown first.
        total: how many steps there are at most; the ETA is for them.
    """

    def __init__(self, job: str, total: int) -> None:
        super().__init__(job, total)
        self._job, self._total = job, total
        self._logged = -math.inf

    def update(self, done: int, metrics: Mapping[str, float]) -> None:
        """Show that `done` steps are done, with metrics: name -> number."""
        if self._live:
            self._live.update(self._task, completed=done, metrics=metrics_text(metrics))
        elif time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            self.log(
                "progress",
                done=done,
                total=self._total,
                **{name: float(f"{value:.6g}") for name, value in metrics.items()},
            )

    def doing(self, what: str) -> None:
        """Say what goes on before the first step."""
        if self._live:
            self._live.update(self._task, metrics=what)
        else:
            self.log("doing", message=what)

    def record(self, event: str, **fields: Any) -> None:
        """Say that something happened where lines are read by programs; a person at a terminal need not know."""
        if not self._live:
            self.log(event, **fields)

    def log(self, event: str, **fields: Any) -> None:
        """Say that something happened: a sentence above the bar, or a JSON line."""
        if self._live:
            self._live.console.print(Text(sentence(event, fields)))
            return
        log(self._job, event, **fields)
