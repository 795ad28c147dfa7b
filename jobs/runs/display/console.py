"""The display of a running job: live on a terminal, such as one line; JSON log lines elsewhere."""

from __future__ import annotations

import math
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from jobs.formatting import clock, printable, printable_lines, short
from jobs.runs.display.log import log

SHORT = {
    "gradient_norm": "max |g|",
    "evaluations_per_second": "evaluations/s",
    "steps_per_second": "steps/s",
    "samples_per_second": "samples/s",
}
"""Short names of metrics for the terminal's one line."""
SHARE = "_share"
"""End of the name of a metric that is a share of the time, 0 .. 1."""
DIRECTION = "direction"
"""The metric that is the direction of a search; not a number."""
EXTREMES = {"maximize": "largest", "minimize": "smallest"}
"""Which extreme value is the best one, by direction."""
UNKNOWN_ETA = "-:--:--"
"""Shown instead of an ETA before the first step."""
BAR_WIDTH, NARROW = 24, 100
"""Columns of the bar on a terminal of at least so many; half as many on a narrower one."""
MIN_COLUMN = 20
"""Columns that a text beside its name has at least."""
COMMAND = "dask-jobs "
"""A text that begins so is a command, and is not broken over lines: it is there to be copied."""
LOG_SECONDS = 5.0
"""Period of JSON lines where there is no terminal."""


class Display:
    """The live display on standard error where that is a terminal, None elsewhere; a context manager."""

    _live: Progress | Live | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()


class _Left(ProgressColumn):
    """The ETA; before the first step is due, for how long the job has been going on."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        if (eta := task.fields["eta"]) is None:
            return Text(clock(task.elapsed or 0.0), style="progress.elapsed")
        return Text(f"ETA {eta}" if eta else "", style="progress.remaining")


class Bar(Display):
    """One live line on standard error where that is a terminal, and nothing elsewhere; a context manager.

    Args:
        name: shown first.
        total: maximum steps; the ETA is for them (None: not known yet).
        redirect_stdout: whether printed output is shown above the line.
    """

    def __init__(self, name: str, total: int | None, *, redirect_stdout: bool = True) -> None:
        self._live: Progress | None = None
        if sys.stderr.isatty():
            console = Console(stderr=True, highlight=False)
            self._bar = BAR_WIDTH if console.width >= NARROW else BAR_WIDTH // 2
            self._live = Progress(
                # markup=False: a name may have brackets.
                TextColumn("{task.description}", style="bold", markup=False),
                BarColumn(bar_width=self._bar),
                TextColumn("{task.fields[count]}", markup=False),
                # Wrapped where the terminal is narrow: else rich would cut the ETA off.
                TextColumn("{task.fields[metrics]}", markup=False, table_column=Column(no_wrap=False)),
                _Left(),
                console=console,
                transient=True,
                redirect_stdout=redirect_stdout,
            )
            count = f"0/{total}" if total else ""
            left = UNKNOWN_ETA if total else None
            # Without a total the bar moves to and fro.
            self._task = self._live.add_task(name, total=total or None, count=count, metrics="", eta=left)

    def draw(self, done: int, total: int, metrics: Sequence[str], eta: float | None) -> None:
        """Draw `done` of `total` steps, and the ETA in seconds if known; only on a terminal.

        The last metrics are left out where the line is too short for all.
        """
        assert self._live is not None
        count, left = f"{done}/{total}", UNKNOWN_ETA if eta is None else clock(eta)
        shown = self._fitting(metrics, len(count) + len(left))
        self._live.update(self._task, completed=done, total=total, count=count, metrics=shown, eta=left)

    def draw_phase(self, what: str) -> None:
        """Draw what is done before the first step, in the place of metrics."""
        assert self._live is not None
        self._live.update(self._task, metrics=printable(what))

    def draw_end(self, steps: int | None) -> None:
        """Draw the bar as it is at the end: with the final steps, if they are known, and without metrics and ETA."""
        assert self._live is not None
        made: dict[str, Any] = (
            {} if steps is None else {"completed": steps, "total": steps, "count": f"{steps}/{steps}"}
        )
        self._live.update(self._task, metrics="", eta="", refresh=True, **made)

    def _fitting(self, metrics: Sequence[str], others: int) -> str:
        """Return as many metrics as the line has room for, one at least, beside its name, bar and `others`."""
        assert isinstance(self._live, Progress)
        room = self._live.console.width - len(self._live.tasks[0].description) - self._bar - others - len(" ETA     ")
        kept = list(metrics)
        while len(kept) > 1 and len("  ".join(kept)) > room:
            kept.pop()
        return "  ".join(kept)


def print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print rows of a name and a text in two columns; unlike rich's tables without blanks after the text.

    On a terminal a long text goes on below its column, elsewhere, and a command to copy, in its line. What is not
    printable is escaped: names and texts may be the user's.
    """
    width = max(len(printable(name)) for name, _ in rows)
    room = max(console.width - width - 2, MIN_COLUMN)
    for name, text in ((printable(name), printable(text)) for name, text in rows):
        lines = [text]
        if console.is_terminal and not text.startswith(COMMAND):
            lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        shown = f"\n{'':{width + 2}}".join(lines)
        console.print(Text.assemble((f"{name:<{width}}  ", "dim"), shown), soft_wrap=True)


def metric_texts(metrics: Mapping[str, Any]) -> list[str]:
    """Return each metric in short for the live line; NaN and infinity may be texts, as in JSON.

    A search's `direction` is part of the name of its `best`.
    """
    names = SHORT | {"best": best_name(metrics.get(DIRECTION))}
    return [
        f"{value:.0%} {printable(name.removesuffix(SHARE))}"
        if name.endswith(SHARE) and isinstance(value, int | float) and 0 <= value < 100
        else f"{printable(names.get(name, name))} {_metric(value)}"
        for name, value in metrics.items()
        if name != DIRECTION
    ]


def metrics_text(metrics: Mapping[str, Any]) -> str:
    """Return all metrics in short, see `metric_texts`."""
    return "  ".join(metric_texts(metrics))


def best_name(direction: Any) -> str:
    """Return the name of the best value of a search: best (largest), best (smallest)."""
    extreme = EXTREMES.get(direction) if isinstance(direction, str) else None
    return f"best ({extreme})" if extreme else "best"


def _metric(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else short(value, 4)


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """Return a log line's event and message, or its fields if it has none, as a sentence for a terminal."""
    text = str(fields.get("message") or " ".join(f"{name}={fields[name]}" for name in fields if name != "message"))
    return printable_lines(text if text.startswith(f"{event} ") else f"{event}: {text}")


class Log(Display):
    """The log of a job: a sentence above the live display on a terminal, a JSON line elsewhere.

    Args:
        job: the job's name.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self._logged = -math.inf

    def progress(self, done: int, total: int, metrics: Mapping[str, Any]) -> None:
        """Write a JSON line every few seconds: `done` of `total` steps, with metrics: name -> number."""
        if time.monotonic() - self._logged > LOG_SECONDS:
            self._logged = time.monotonic()
            rounded = {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in metrics.items()}
            self.log("progress", done=done, total=total, **rounded)

    def record(self, event: str, **fields: Any) -> None:
        """Log an event as a JSON line; on a terminal it is left out."""
        if not self._live:
            self.log(event, **fields)

    def log(self, event: str, **fields: Any) -> None:
        """Log an event: a sentence above the live display, or a JSON line."""
        if self._live:
            self._live.console.print(Text(sentence(event, fields)))
            return
        log(self._job, event, **fields)

    def doing(self, what: str) -> None:
        """Log a phase before the first step."""
        self.log("doing", message=what)


class Reporter(Bar, Log):
    """Shows a job's progress on standard error: a bar with an ETA on a terminal, else a JSON line every few seconds.

    Args:
        job: the job's name, shown first.
        total: maximum steps; the ETA is for them.
    """

    def __init__(self, job: str, total: int) -> None:
        Bar.__init__(self, job, total)
        Log.__init__(self, job)
        self._total = total

    def update(self, done: int, metrics: Mapping[str, float], eta: float | None) -> None:
        """Show `done` steps, with metrics: name -> number, and the ETA in seconds if known."""
        if self._live:
            self.draw(done, self._total, metric_texts(metrics), eta)
        else:
            self.progress(done, self._total, metrics)

    def doing(self, what: str) -> None:
        """Show a phase before the first step."""
        if self._live:
            self.draw_phase(what)
        else:
            super().doing(what)
