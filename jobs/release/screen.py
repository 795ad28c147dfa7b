"""What `dask-jobs wait` shows of a driver's log: a bar with an ETA on a terminal, the lines as they are elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from rich.text import Text

from jobs.progress import DIRECTION, Bar, metrics_text, sentence
from jobs.release import lines
from jobs.release.lines import progress_of

OWN = ("driver",)
"""Jobs of JSON lines that may follow the summary."""
QUIET = ("started", "run", "done", "over")
"""Events that the bar and the summary tell as well."""


class Screen(Bar):
    """Shows log lines; the text after a job's end, its summary, is kept for standard output.

    `result` is the last line of the event `result`: it is for programs, and not shown.

    Args:
        release: its name, shown before the bar.
    """

    def __init__(self, release: str) -> None:
        self._held: list[str] | None = []
        self.result: dict[str, Any] | None = None
        super().__init__(release, None, redirect_stdout=False)

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
            self._release_held(again=fields["event"] in ("done", "result"))
        if fields["event"] == "result":
            self.result = fields
            return
        if self._live is None:
            sys.stderr.write(text + "\n")
        else:
            self._show(fields)

    def _show(self, fields: dict[str, Any]) -> None:
        assert self._live is not None
        if fields["event"] == "progress" and (progress := progress_of(fields)):
            shown = {k: v for k, v in progress.metrics.items() if isinstance(v, int | float) or k == DIRECTION}
            text = metrics_text(shown)
            self._live.update(self._task, completed=progress.done, total=progress.total, metrics=text)
        elif fields["event"] == "done" and isinstance(steps := fields.get("iterations", fields.get("trials")), int):
            self._live.update(self._task, completed=steps, total=steps)
        elif fields["event"] == "doing":
            self._live.update(self._task, metrics=str(fields.get("message", "")))
        elif fields["event"] == "attempt":
            where = f" on {fields['workers']} workers" if "workers" in fields else ""
            run = str(fields.get("run"))
            self.say(f"attempt {fields.get('attempt')}{where}" + (f", run folder {run}" if "://" in run else ""))
        elif fields["event"] not in QUIET:
            rest = {key: value for key, value in fields.items() if key not in ("time", "job", "event")}
            self.say(sentence(fields["event"], rest))

    def say(self, text: str, style: str = "") -> None:
        """Show a line on standard error, above the bar."""
        if self._live is None:
            sys.stderr.write(text + "\n")
        else:
            self._live.console.print(Text(text, style=style))

    def begin_attempt(self) -> None:
        """A new driver's log begins: its text may be a summary again."""
        self.result = None
        self._release_held(again=True)

    def _release_held(self, *, again: bool) -> None:
        """Show what was held back, for it was no summary; hold the text that follows if `again`."""
        for text in self._held or ():
            self.say(text)
        self._held = [] if again else None

    def stop(self) -> None:
        """Take the bar away; lines are shown as before."""
        if self._live:
            self._live.stop()

    def end(self, *, success: bool, shown: bool = False) -> None:
        """Write the summary to standard output, or, if there was no success, the last text to standard error.

        Args:
            success: the job has ended well.
            shown: the result is shown by other means, so the summary is left out.
        """
        self.stop()
        if success:
            sys.stdout.write("" if shown else "".join(f"{text}\n" for text in self._held or ()))
            self._held = None
        else:
            self._release_held(again=False)
