"""What `dask-jobs wait` shows of a driver's log: a bar with an ETA on a terminal, the lines as they are elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from jobs.progress import SHORT
from jobs.release import lines
from jobs.release.lines import progress_of

OWN = ("driver",)
"""Jobs of JSON lines that may follow the summary."""
QUIET = ("started", "run", "done", "over")
"""Events that the bar and the summary tell as well."""


class Screen:
    """Shows log lines; the text after a job's end, its summary, is kept for standard output.

    Args:
        release: its name, shown before the bar.
    """

    def __init__(self, release: str) -> None:
        self._held: list[str] | None = []
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
                redirect_stdout=False,
            )
            self._task = self._live.add_task(release, total=None, metrics="")

    def line(self, text: str) -> None:
        """Show one line of the driver's log."""
        fields = lines.parse(text)
        if fields is None:
            if self._held is None:
                self.say(text)
            else:
                self._held.append(text)
            return
        if fields.get("job") not in OWN:
            self._release_held(again=fields["event"] == "done")
        if self._live is None:
            sys.stderr.write(text + "\n")
        else:
            self._show(fields)

    def _show(self, fields: dict[str, Any]) -> None:
        assert self._live is not None
        if fields["event"] == "progress" and (progress := progress_of(fields)):
            numbers = {key: value for key, value in progress.metrics.items() if isinstance(value, int | float)}
            metrics = "  ".join(f"{SHORT.get(name, name)} {value:.4g}" for name, value in numbers.items())
            self._live.update(self._task, completed=progress.done, total=progress.total, metrics=metrics)
        elif fields["event"] == "done" and isinstance(steps := fields.get("iterations"), int):
            self._live.update(self._task, completed=steps, total=steps)
        elif fields["event"] == "doing":
            self._live.update(self._task, metrics=str(fields.get("message", "")))
        elif fields["event"] == "attempt":
            self.say(f"attempt {fields['attempt']} on {fields['workers']} workers, run folder {fields['run']}")
        elif fields["event"] not in QUIET:
            rest = {key: value for key, value in fields.items() if key not in ("time", "job", "event")}
            text = rest.pop("message", "") or " ".join(f"{name}={value}" for name, value in rest.items())
            self.say(f"{fields['event']}: {text}")

    def say(self, text: str, style: str = "") -> None:
        """Show a line on standard error, above the bar."""
        if self._live is None:
            sys.stderr.write(text + "\n")
        else:
            self._live.console.print(Text(text, style=style))

    def begin_attempt(self) -> None:
        """A new driver's log begins: its text may be a summary again."""
        self._release_held(again=True)

    def _release_held(self, *, again: bool) -> None:
        """Show what was held back, for it was no summary; hold the text that follows if `again`."""
        for text in self._held or ():
            self.say(text)
        self._held = [] if again else None

    def end(self, *, success: bool) -> None:
        """Write the summary to standard output, or, if there was no success, the last text to standard error."""
        if self._live:
            self._live.stop()
        if success:
            sys.stdout.write("".join(f"{text}\n" for text in self._held or ()))
            self._held = None
        else:
            self._release_held(again=False)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
