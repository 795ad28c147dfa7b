"""What a report says about any job: its title and state, its options and versions, and how to go on."""

from __future__ import annotations

import json
import math
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from jobs.report.html import details, duration, paragraph, table, value_text
from jobs.report.page import Section

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jobs.runs.folder import RunFolder

HEAD = Markup('<h1>{}</h1>\n<p class="origin">{}</p>\n<p class="state {}">{}</p>\n<p class="lead">{}</p>\n')
CODE = Markup("<pre>{}</pre>\n")
ENDED = Markup('<pre class="{}">{}</pre>\n')
PROGRESS = Markup('<p><progress value="{}" max="1" aria-label="Progress"></progress><br>{}</p>\n')
STATES = {"done": "good", "failed": "bad", "running": "busy"}
GO_ON = {
    "done": "This run is done: the same command on its folder returns its result and computes nothing.",
    "running": "Should this run have been killed: the same command on its folder takes it up where it was.",
    "failed": "With the cause removed, the same command on its folder takes the run up where it was.",
    "stopped": "The same command on its folder takes the run up where it was.",
}


def head(run: RunFolder, title: str, summary: str, steps: str) -> Markup:
    """Return the top of the page: title, folder, state, outcome, and an error or the progress if there is any.

    `steps` is what the progress of this job counts, such as `iterations`.
    """
    success = not run.result or run.result["success"]
    label, css = (run.state, STATES.get(run.state, "halt")) if success else ("done, without success", "halt")
    top = HEAD.format(title, run.url + _when(run.status.get("updated")), css, label, summary)
    if error := run.status.get("error"):
        top += ENDED.format(css, error)
    if trace := run.status.get("details"):
        top += details("Details", CODE.format(trace))
    if run.state != "done" and (progress := run.status.get("progress")):
        top += PROGRESS.format(progress["fraction"], _how_far(progress, steps, running=run.state == "running"))
    return top


def _when(updated: float | None) -> str:
    """Return the time of a status, seconds since 1970, as text that follows the folder."""
    return f", as of {datetime.fromtimestamp(updated, tz=UTC):%Y-%m-%d %H:%M:%S} UTC" if updated else ""


def _how_far(progress: dict[str, Any], steps: str, *, running: bool) -> str:
    text = f"{progress['done']:,} of at most {progress['total']:,} {steps}"
    left = float(progress.get("eta") or math.nan)
    return text + (f", at most about {duration(left)} to go" if running and math.isfinite(left) else "")


def given(run: RunFolder, model: type[BaseModel]) -> dict[str, Any]:
    """Return the options whose values are not the defaults of `model`."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    return {name: value for name, value in run.options.items() if name in defaults and value != defaults[name]}


def options(run: RunFolder, changed: dict[str, Any]) -> Section:
    """Return all options, those in `changed` emphasised."""
    strong = Markup("<strong>{}</strong>")
    rows = [
        (name, strong.format(value_text(value)) if name in changed else value) for name, value in run.options.items()
    ]
    note = paragraph("What differs from the defaults is bold.", "note")
    return Section("Options", note + table(("Option", "Value"), rows))


def versions(run: RunFolder) -> Section:
    """Return the versions of the software that computed the result."""
    return Section("Versions", table(("Software", "Version"), run.result["versions"].items()))


def how_to_go_on(run: RunFolder, changed: dict[str, Any]) -> Section:
    """Return the command lines that take the run up, and that repeat it in another folder."""
    flags = [_flag(name, value) for name, value in changed.items() if name not in ("run", "config")]
    command = " ".join(["dask-jobs", shlex.quote(run.job), *flags, "--run"])
    return Section(
        "Go on, or repeat",
        paragraph(GO_ON.get(run.state, GO_ON["running"]))
        + CODE.format(f"{command} {shlex.quote(run.url)}")
        + paragraph("To repeat it from the start, give another folder:")
        + CODE.format(f"{command} NEW_FOLDER"),
    )


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--{name.replace('_', '-')} {shlex.quote(text)}"
