"""The view of a driver's log in `dask-jobs wait`: live lines on a terminal, the log's own elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any

from rich.text import Text

from jobs.formatting import for_stream, printable_lines
from jobs.release.api import driver_log
from jobs.release.api.driver_log import is_record, message_of, progress_of, record_text, steps_of, time_of
from jobs.runs.display.console import ProgressLines, sentence
from jobs.runs.display.eta import EtaEstimator
from jobs.runs.display.progress import DIRECTION, Progress

OWN = ("driver",)
"""Jobs of JSON lines that may follow the summary."""
QUIET = ("started", "run", "done", "over")
"""Events that the live lines and the summary show as well."""
LAST = ("done", "result")
"""A job's last events, after which its summary is text."""


class WaitView(ProgressLines):
    """Shows log lines; the text after a job's end, its summary, is buffered for standard output.

    Text is held back for a moment in mid-run too: the container runtime reads stdout and stderr separately, and may
    log the summary before the events that came before it.

    `result` is the last line of the event `result`: it is for programs, and not shown.

    Args:
        release: its name, shown before the live lines.
    """

    def __init__(self, release: str) -> None:
        self._held: list[str] = []
        self._ending = True
        self._after: int | None = None
        self._passed = 0
        self.result: dict[str, Any] | None = None
        self._eta: EtaEstimator | None = None
        self._since: float | None = None
        super().__init__(release, redirect_stdout=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the live lines, and show the text that was held."""
        super().__exit__(kind, error, traceback)
        self._release_held()

    def line(self, text: str) -> None:
        """Show one line of the driver's log."""
        fields = driver_log.parse(text)
        if fields is None:
            self._held.append(text)
            return
        if is_record(fields):
            # A library may log at any time, also between a job's last event and its summary: what is held stays held.
            self.notify(text if self._live is None else record_text(fields))
            return
        if fields.get("job") not in OWN:
            self._ending = fields["event"] in LAST
            if not self._ending:
                self._release_held()
            elif self._after is None:
                self._after = len(self._held)
        if fields["event"] == "result":
            self.result = fields
            self._show_end(None)
            return
        if self._live is None:
            sys.stderr.write(text + "\n")
        else:
            self._show(fields)

    def _show(self, fields: dict[str, Any]) -> None:
        assert self._live is not None
        if fields["event"] == "progress" and (progress := progress_of(fields)):
            self.draw(self._progress_at(progress))
        elif fields["event"] == "done":
            self._show_end(fields.get(steps_of(fields)))
        elif fields["event"] == "doing":
            self.draw_phase(message_of(fields))
        elif fields["event"] == "attempt":
            self._eta, self._since = None, time_of(fields)
            where = f" on {fields['workers']} workers" if "workers" in fields else ""
            run = str(fields.get("run"))
            self.notify(f"attempt {fields.get('attempt')}{where}" + (f", run folder {run}" if "://" in run else ""))
        elif fields["event"] not in QUIET:
            rest = {key: value for key, value in fields.items() if key not in ("time", "job", "event")}
            self.notify(sentence(fields["event"], rest))

    def _progress_at(self, logged: driver_log.Progress) -> Progress:
        """Return logged progress with its ETA, and the time since the attempt began, by the clock of the log."""
        metrics = {k: v for k, v in logged.metrics.items() if isinstance(v, int | float) or k == DIRECTION}
        self._eta = self._eta or EtaEstimator(logged.time, logged.done)
        self._eta.note(logged.done, logged.time)
        eta = self._eta.remaining(logged.total - logged.done, logged.time)
        seconds = 0.0 if self._since is None else max(logged.time - self._since, 0.0)
        return Progress(logged.done, logged.total, logged.steps or "steps", logged.at_most, metrics, seconds, eta)

    def _show_end(self, steps: Any) -> None:
        """Show the final steps, if known, and no metrics: those of the last progress are not the result's."""
        if self._live is not None:
            self.draw_end(steps if isinstance(steps, int) else None)

    def passed(self) -> None:
        """Show text of mid-run that was held since the last call or longer: it was not followed by the run's end."""
        if not self._ending:
            self._release_held(self._passed)
        self._passed = len(self._held)

    def notify(self, text: str, style: str = "") -> None:
        """Show a line on standard error, above the live lines."""
        if self._live is None:
            sys.stderr.write(text + "\n")
        else:
            self._live.console.print(Text(printable_lines(text), style=style))

    def begin_attempt(self) -> None:
        """Begin a new driver's log, whose text may be a summary again."""
        self.result, self._ending = None, True
        self._release_held()

    def _release_held(self, count: int | None = None) -> None:
        """Show text that was held back, or the first `count` lines of it, since it was not a summary."""
        shown = self._held[:count]
        self._held = self._held[len(shown) :]
        self._after, self._passed = None, 0
        for text in shown:
            self.notify(text)

    def stop(self) -> None:
        """Remove the live lines; lines are shown as before."""
        if self._live:
            self._live.stop()

    def end(self, *, success: bool, shown: Callable[[], Collection[str]] | None = None) -> None:
        """Write the summary to standard output, or, if there was no success, the last text to standard error.

        Args:
            success: the job has ended well.
            shown: the summary is shown by other means and left out here; returns the lines of it as the driver printed
                them, so that what else was printed before the end is known.
        """
        self.stop()
        if success:
            before, after = self._held[: self._after or 0], self._held[self._after or 0 :]
            if shown is None:
                before, after = (before, after) if after else (after, before)
                sys.stdout.write(for_stream("".join(f"{text}\n" for text in after), sys.stdout))
            elif before:
                known = shown()
                before = [text for text in before if text not in known]
            self._held = before
        self._release_held()
