"""The display of a running job: live on a terminal or in a notebook; text or JSON log lines elsewhere."""

from __future__ import annotations

import math
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.formatting import printable, printable_lines
from jobs.runs.display.log import log
from jobs.runs.display.mode import Mode, mode
from jobs.runs.display.notebook import NotebookLine
from jobs.runs.display.progress import Progress

BAR_WIDTH, NARROW = 24, 100
"""Columns of the bar on a terminal of at least so many; half as many on a narrower one."""
FRAMES = 4
"""Frames per second of the live display."""
MIN_COLUMN = 20
"""Columns that a text beside its name has at least."""
COMMAND = "dask-jobs "
"""A text that begins so is a command, and is not broken over lines: it is there to be copied."""
LOG_SECONDS = 5.0
"""Period of log lines where there is no live display."""
LOG_SHARE = 0.02
"""The same as a share of the time so far, for lines of text: a day's log is one that can be read."""


class Display:
    """The live display on standard error where that is a terminal, None elsewhere; a context manager."""

    _live: Live | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()


class ProgressLines(Display):
    """Two live lines on standard error where that is a terminal, and nothing elsewhere; a context manager.

    The first has the course: a bar, unless the total is a limit; steps, ETA, elapsed time, rates. The second has the
    metrics. The clocks run on between two updates.

    Args:
        name: shown first.
        redirect_stdout: whether printed output is shown above the lines.
    """

    def __init__(self, name: str, *, redirect_stdout: bool = True) -> None:
        self._name = name
        self._phase, self._progress = "", Progress()
        self._at = time.monotonic()
        if self._is_live():
            self._live = Live(
                console=Console(stderr=True, highlight=False),
                get_renderable=lambda: self,
                refresh_per_second=FRAMES,
                transient=True,
                redirect_stdout=redirect_stdout,
            )

    @staticmethod
    def _is_live() -> bool:
        return mode() == "terminal"

    def draw(self, progress: Progress) -> None:
        """Draw progress, from the next frame on."""
        self._at, self._phase = time.monotonic(), ""
        self._progress = progress  # replaced, never changed: rich draws it in a thread of its own

    def draw_phase(self, what: str) -> None:
        """Draw what is done before the first step."""
        self._phase = what

    def draw_end(self, steps: int | None) -> None:
        """Draw the final steps, if they are known, without metrics and ETA."""
        done = self._progress.done if steps is None else steps
        total = self._progress.total if steps is None else steps
        self.draw(replace(self._progress, done=done, total=total, metrics={}, eta=math.nan))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self._phase or not self._progress.total:
            yield Text.assemble((printable(self._name), "bold"), "  ", printable(self._phase))
            return
        late, progress = time.monotonic() - self._at, self._progress
        # In this order: NaN, at the end, stays.
        eta = None if progress.eta is None else max(progress.eta - late, 0.0)
        progress = replace(progress, seconds=progress.seconds + late, eta=eta)
        room = options.max_width - len(self._name) - 2
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_row(Text(printable(self._name), style="bold"), _course(progress, room))
        if values := progress.values():
            grid.add_row("", Text(fitting(values, room)))
        yield grid


def _course(progress: Progress, room: int) -> RenderableType:
    if progress.at_most:
        return Text(fitting(progress.course(), room))
    width = BAR_WIDTH if room >= NARROW else BAR_WIDTH // 2
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=progress.total, completed=progress.done, width=width)
    grid.add_row(bar, Text(fitting(progress.course(), room - width - 2)))
    return grid


def fitting(texts: Sequence[str], room: int) -> str:
    """Return as many texts as `room` columns take, one at least."""
    kept = list(texts)
    while len(kept) > 1 and len("  ".join(kept)) > room:
        kept.pop()
    return "  ".join(kept)


def print_rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print rows of a name and a text in two columns; unlike rich's tables without blanks after the text.

    On a terminal a long text goes on below its column, elsewhere, and a command to copy, in its line. What is not
    printable is escaped: names and texts may be the user's.
    """
    width = max((len(printable(name)) for name, _ in rows), default=0)
    room = max(console.width - width - 2, MIN_COLUMN)
    for name, text in ((printable(name), printable(text)) for name, text in rows):
        lines = [text]
        if console.is_terminal and not text.startswith(COMMAND):
            lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        shown = f"\n{'':{width + 2}}".join(lines)
        console.print(Text.assemble((f"{name:<{width}}  ", "dim"), shown), soft_wrap=True)


def sentence(event: str, fields: Mapping[str, Any]) -> str:
    """Return a log line's event and message, or its fields if it has none, as a sentence for a terminal."""
    text = str(fields.get("message") or " ".join(f"{name}={fields[name]}" for name in fields if name != "message"))
    return printable_lines(text if text.startswith(f"{event} ") else f"{event}: {text}")


class Log(Display):
    """The log of a job: sentences above the live display on a terminal, lines of text or JSON elsewhere.

    Args:
        job: the job's name.
    """

    def __init__(self, job: str) -> None:
        self._job = job
        self._logged, self._began = -math.inf, time.monotonic()
        self.mode: Mode = mode()
        self._cell = NotebookLine(job) if self.mode == "notebook" else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._cell:
            self._cell.flush()
        super().__exit__(kind, error, traceback)

    def progress(self, progress: Progress) -> None:
        """Show progress: below a notebook's cell, or as a line every few seconds."""
        if self._cell:
            self._cell.update(progress)
            return
        now = time.monotonic()
        period = LOG_SECONDS if self.mode == "json" else max(LOG_SECONDS, LOG_SHARE * (now - self._began))
        if self.mode == "none" or now - self._logged <= period:
            return
        self._logged = now
        if self.mode == "json":
            limit = {"at_most": True} if progress.at_most else {}
            rounded = {k: float(f"{v:.10g}") if isinstance(v, float) else v for k, v in progress.metrics.items()}
            log(self._job, "progress", done=progress.done, total=progress.total, **limit, **rounded)
        else:
            self._write(progress.line())

    def record(self, event: str, **fields: Any) -> None:
        """Log an event for programs: as a JSON line, and only where all lines are."""
        if self.mode == "json":
            log(self._job, event, **fields)

    def log(self, event: str, **fields: Any) -> None:
        """Log an event: a sentence above the live display, or a line."""
        if self._live:
            self._live.console.print(Text(sentence(event, fields)))
        elif self.mode == "json":
            log(self._job, event, **fields)
        else:
            self._write(sentence(event, fields))

    def doing(self, what: str) -> None:
        """Show a phase before the first step."""
        if self._cell:
            self._cell.phase(what)
        elif self.mode == "json":
            log(self._job, "doing", message=what)
        elif self.mode != "none":
            self._write(printable(what))

    def _write(self, text: str) -> None:
        """Write a line of text, with the time of day; in a notebook to the cell's output, which is not red."""
        stream = sys.stdout if self._cell else sys.stderr
        stream.write(f"{time.strftime('%H:%M:%S')} {self._job}: {text}\n")
        stream.flush()


class Reporter(ProgressLines, Log):
    """Shows a job's progress: live where that can be seen, else as a line every few seconds.

    Args:
        job: the job's name, shown first.
        total: steps in all.
        steps: the noun of a step, in the plural.
        at_most: whether `total` is a limit that a run seldom comes to.
    """

    def __init__(self, job: str, total: int, steps: str = "steps", *, at_most: bool = False) -> None:
        Log.__init__(self, job)
        ProgressLines.__init__(self, job)
        self._total, self._noun, self._at_most = total, steps, at_most

    def update(self, done: int, metrics: Mapping[str, float], eta: float | None) -> None:
        """Show `done` steps, with metrics: name -> number, and the ETA in seconds if known."""
        seconds = time.monotonic() - self._began
        progress = Progress(done, self._total, self._noun, self._at_most, metrics, seconds, eta)
        if self._live:
            self.draw(progress)
        else:
            self.progress(progress)

    def doing(self, what: str) -> None:
        """Show a phase before the first step."""
        if self._live:
            self.draw_phase(what)
        else:
            super().doing(what)
