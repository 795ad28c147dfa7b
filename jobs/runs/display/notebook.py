"""The live line of a running job below a notebook's cell."""

from __future__ import annotations

import html
import importlib
import time
from typing import Any

from jobs.runs.display.progress import Progress

FRAMES = 4
"""Updates per second: each is a message to the browser, and a part of the notebook's file."""
STYLE = "font-family:monospace;white-space:pre-wrap"
BAR = "width:12em;vertical-align:middle"


class NotebookLine:
    """Shows progress as one piece of HTML that is replaced in place.

    Args:
        name: shown first.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle: Any = None
        self._shown = 0.0
        self._held: Progress | str | None = None

    def update(self, progress: Progress) -> None:
        """Show progress, a few times per second at most."""
        self._held = progress
        if time.monotonic() - self._shown > 1 / FRAMES:
            self.flush()

    def phase(self, text: str) -> None:
        """Show what is done before the first step."""
        self._held = text
        self.flush()

    def flush(self) -> None:
        """Show what was held back."""
        if self._held is None:
            return
        ipython = _ipython()
        self._shown, page = time.monotonic(), ipython.HTML(_page(self._name, self._held))
        self._held = None
        if self._handle is None:
            self._handle = ipython.display(page, display_id=True)
        else:
            self._handle.update(page)


def _ipython() -> Any:
    """Return IPython's module of displays: there is a kernel."""
    return importlib.import_module("IPython.display")


def _page(name: str, shown: Progress | str) -> str:
    """Return progress, or a phase, as HTML."""
    if isinstance(shown, str):
        return _wrapped(f"<b>{html.escape(name)}</b>  {html.escape(shown)}")
    progress, bar = shown, ""
    if progress.total and not progress.at_most:
        bar = f'<progress style="{BAR}" value="{progress.done:d}" max="{progress.total:d}"></progress>  '
    course, values = (html.escape("  ".join(texts)) for texts in (progress.course(), progress.values()))
    return _wrapped(f"<b>{html.escape(name)}</b>  {bar}{course}\n{values}")


def _wrapped(text: str) -> str:
    return f'<div style="{STYLE}">{text}</div>'
