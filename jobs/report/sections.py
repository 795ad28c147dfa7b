"""The sections of every job's report: its title and state, its options and versions, and how to resume it."""

from __future__ import annotations

import json
import math
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.errors import InputError
from jobs.report.html import duration
from jobs.report.page import Section
from jobs.runs.display.progress import counted
from jobs.runs.named_code import is_by_value
from jobs.runs.provenance.reading import read_provenance, tables

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage

STATES = {"done": "good", "failed": "bad", "running": "busy"}
HOW_TO_RESUME = {
    "done": "This run is done: the same command on its folder returns its result and computes nothing.",
    "running": "Should this run have been killed: the same command on its folder takes it up where it was.",
    "failed": "With the cause removed, the same command on its folder takes the run up where it was; "
    "other settings need another folder, and edited code --accept-new-code, where the job has it.",
    "stopped": "The same command on its folder takes the run up where it was.",
}


def head(run: RunFolder, title: str, summary: str, steps: str) -> dict[str, Any]:
    """Return the top of the page: title, folder, state, outcome, and an error or the progress if there is any.

    Args:
        run: the run folder.
        title: the run's title.
        summary: its outcome or its state.
        steps: the noun of the job's progress, such as `iterations`.

    Returns:
        The variables of templates/head.html.
    """
    success = not run.result or run.result["success"]
    label, css = (run.state, STATES.get(run.state, "halt")) if success else ("done, without success", "halt")
    updated = run.status.get("updated")
    return {
        "title": title,
        "url": run.url,
        "updated": updated and datetime.fromtimestamp(updated, tz=UTC),
        "css": css,
        "label": label,
        "summary": summary,
        "error": run.status.get("error"),
        "details": run.status.get("details"),
        "progress": _progress(run, steps),
    }


def _progress(run: RunFolder, steps: str) -> dict[str, Any] | None:
    """Return the progress of a run that is not done, as a fraction and as text; None if its status has none."""
    progress = run.status.get("progress")
    if not progress or run.state == "done":
        return None
    at_most = bool(progress.get("at_most"))
    text = counted(progress["done"], progress["total"], steps, at_most=at_most)
    left = float(progress.get("eta") or math.nan)
    if run.state == "running" and math.isfinite(left):
        text += f", at most about {duration(left)} to go"
    return {"fraction": None if at_most else progress["done"] / max(progress["total"], 1), "text": text}


def non_defaults(run: RunFolder, model: type[BaseModel]) -> dict[str, Any]:
    """Return the options whose values are not the defaults of `model`."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    return {name: value for name, value in run.options.items() if name in defaults and value != defaults[name]}


def options(run: RunFolder, changed: dict[str, Any]) -> Section:
    """Return all options, those in `changed` emphasised."""
    return Section("Options", "report/options.html", {"options": run.options.items(), "changed": changed})


def versions(run: RunFolder) -> Section:
    """Return the versions of the software that computed the result."""
    rows = list(run.result["versions"].items())
    return Section("Versions", "report/table.html", {"head": ("Software", "Version"), "rows": rows})


def arithmetic(run: RunFolder) -> Section:
    """Return what the processes computed with: a column for each kind of them, of which one alone has equal bits."""
    kinds = run.result["arithmetic"]
    names = dict.fromkeys(name for kind in kinds for name in kind if name != "processes")
    rows = [(name, *(kind.get(name, "") for kind in kinds)) for name in names]
    title = (
        "Arithmetic" if run.result["bits"] == "equal" else "Arithmetic: mixed, so the last bits are not reproducible"
    )
    return Section(title, "report/table.html", {"head": ("", *(kind["processes"] for kind in kinds)), "rows": rows})


def provenance(storage: Storage) -> list[Section]:
    """Return the section of what the last attempt was made of, folded; none where the folder does not have it."""
    try:
        found = read_provenance(storage)
    except InputError as error:
        return [Section("Provenance", "report/text.html", {"text": str(error)})]
    if found is None:
        return []
    note = f"{found.command_line}. {found.code.text if found.code else ''}"
    return [Section("Provenance", "report/provenance.html", {"note": note, "tables": tables(found)})]


def how_to_resume(run: RunFolder, changed: dict[str, Any]) -> Section:
    """Return the command lines that resume the run, and that repeat it in another folder."""
    flags = [_flag(name, value) for name, value in changed.items() if name not in ("run", "config")]
    data = {
        "advice": HOW_TO_RESUME.get(run.state, HOW_TO_RESUME["running"]),
        "command": " ".join(["dask-jobs", shlex.quote(run.job), *flags, "--run"]),
        "url": shlex.quote(run.url),
        # What a notebook or a script defines has no other name, and no command line can give it.
        "in_python": any(isinstance(value, str) and is_by_value(value) for value in changed.values()),
    }
    return Section("Go on, or repeat", "report/go_on.html", data)


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"--{name.replace('_', '-')} {shlex.quote(text)}"
