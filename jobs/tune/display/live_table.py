"""The display of a running search: a live table on a terminal, a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.formatting import clock, printable, short
from jobs.runs.display.console import Log
from jobs.runs.display.progress import best_name
from jobs.tune.display.output_capture import OutputCapture

FRAMES = 4
"""Frames per second."""
ROWS = 12
"""Maximum trials shown."""
HEAD = 5
"""Lines above the trials: bar, counts, best, an empty one, names of the columns."""
STYLES = {"running": "cyan", "complete": "green", "pruned": "yellow", "failed": "red", "diverged": "magenta"}


@dataclass(frozen=True)
class TrialRow:
    """One trial: its values, or its last report, after `step` steps; its last execution's seconds and worker."""

    number: int
    state: str
    values: Sequence[float]
    step: int | None
    seconds: float
    worker: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class SearchStatus:
    """The state of a search at one moment.

    Attributes:
        done: trials that have ended.
        total: maximum trials.
        counts: trials by state, running ones first.
        best: the best trial, if there is one and a single objective.
        direction: maximize or minimize; None if there are several objectives.
        seconds: of the study, all attempts together, at `moment` on the clock `time.monotonic`.
        moment: the moment.
        eta: estimated seconds to the end, if known.
        lines: trials to show, the most interesting first; at most `ROWS` of them are shown.
    """

    done: int
    total: int
    counts: Mapping[str, int]
    best: TrialRow | None
    direction: str | None
    seconds: float
    moment: float
    eta: float | None
    lines: Sequence[TrialRow]


class LiveTable(Log):
    """Shows a search on standard error: a table that is redrawn in place on a terminal, else one line.

    The table is removed at the end, for the summary has more; where the search ends by an error, a line shows its
    progress.

    Args:
        job: the job's name, shown first.
    """

    def __init__(self, job: str) -> None:
        super().__init__(job)
        self._status: SearchStatus | None = None
        self._doing = ""
        self._capture: OutputCapture | None = None
        if self.mode == "terminal":
            self._capture = OutputCapture(self._print)
            self._live = Live(
                console=Console(file=self._capture.terminal, highlight=False),
                get_renderable=self._frame,
                refresh_per_second=FRAMES,
                transient=True,
                redirect_stdout=False,  # rich would redirect Python's own only, not what children and C libraries print
                redirect_stderr=False,
            )

    @property
    def live(self) -> bool:
        """Whether there is a terminal, so that `update` is wanted; else `progress` is."""
        return self._live is not None

    def update(self, status: SearchStatus) -> None:
        """Show the state of the search, from the next frame on."""
        self._status = status  # replaced, never changed: rich draws it in a thread of its own

    def doing(self, what: str) -> None:
        """Show the activity before the first trial."""
        if self._live:
            self._doing = what
        else:
            super().doing(what)

    def __enter__(self) -> Self:
        super().__enter__()
        if self._capture:
            self._capture.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # First: `stop` prints what is still buffered, and that is to be above the table.
        if self._capture:
            self._capture.stop()
        super().__exit__(kind, error, traceback)
        if self._live and error is not None and self._status is not None:
            self._live.console.print(*last_words(self._status), sep="\n")
        if self._capture:
            self._capture.terminal.close()

    def _print(self, lines: str) -> None:
        assert self._live is not None
        self._live.console.print(Text.from_ansi(lines), soft_wrap=True)

    def _frame(self) -> RenderableType:
        if self._status is None:
            return Text(printable(f"{self._job}  {self._doing}"), style="bold")
        return StatusTable(self._job, self._status)


@dataclass(frozen=True)
class StatusTable:
    """A search's status as rich draws it, no larger than the terminal."""

    job: str
    status: SearchStatus

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        status = self.status
        room = min(ROWS, console.size.height - HEAD - 1)
        parts: list[RenderableType] = [_bar(self.job, status, options.max_width), _counts(status)]
        if status.direction:
            parts.append(_best(status))
        if room > 0 and status.lines:
            parts += ["", _table(status.lines[:room], options.max_width)]
        yield Group(*parts)


def last_words(status: SearchStatus) -> list[Text]:
    """Return the progress of a search that was ended by an error."""
    ended = Text(f"{status.done:,} of {status.total:,} trials: ")
    return [ended.append_text(_counts(status))] + ([_best(status)] if status.best else [])


def _bar(job: str, status: SearchStatus, width: int) -> RenderableType:
    # The clock and the ETA run on where the next status is late, as while the driver writes to S3.
    seconds = status.seconds + time.monotonic() - status.moment
    left = None if status.eta is None else max(0.0, status.eta - (time.monotonic() - status.moment))
    text = Text(f"{status.done:,}/{status.total:,}  {clock(seconds)}")
    text.append("" if left is None else f"  ETA {clock(left)}", style="bold")
    bar = ProgressBar(total=status.total, completed=status.done, width=max(8, min(32, width - 48)))
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column()
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(Text(job, style="bold"), bar, text)
    return grid


def _counts(status: SearchStatus) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for state, count in status.counts.items():
        if count or state in ("running", "complete"):
            text.append("  " if text else "").append(f"{count:,} {state}", style=STYLES[state])
    return text


def _best(status: SearchStatus) -> Text:
    best, name = status.best, best_name(status.direction)
    if best is None:
        return Text(f"{name}  none yet", style="dim")
    text = Text(f"{name}  ", no_wrap=True, overflow="ellipsis")
    text.append(_values(best), style="bold").append(f"  trial {best.number}", style="dim")
    for name, value in best.params.items():
        text.append(f"  {printable(name)} ", style="dim").append(short(value, 4))
    return text


def _table(lines: Sequence[TrialRow], width: int) -> Table:
    """Return the trials, one line each, with as many of their hyperparameters as there is room for."""
    columns = [
        ("trial", [Text(str(line.number)) for line in lines], True),
        ("", [Text(line.state, style=STYLES[line.state]) for line in lines], False),
        ("value", [Text(_values(line)) for line in lines], True),
        ("step", [Text("" if line.step is None else str(line.step)) for line in lines], True),
        ("seconds", [Text(f"{line.seconds:.1f}") for line in lines], True),
        *(
            (
                printable(name),
                [Text(short(line.params[name], 4) if name in line.params else "") for line in lines],
                True,
            )
            for name in dict.fromkeys(name for line in lines for name in line.params)
        ),
        ("worker", [Text(printable(line.worker.rpartition("//")[2]), style="dim") for line in lines], False),
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    cells, used = [], 0
    for name, texts, right in columns:
        widest = max(len(name), *(text.cell_len for text in texts)) + 2
        if used + widest - 2 > width:
            continue
        used += widest
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=True)
        cells.append(texts)
    for row in zip(*cells, strict=True):
        table.add_row(*row)
    return table


def _values(line: TrialRow) -> str:
    return ", ".join(short(value, 4) for value in line.values)
