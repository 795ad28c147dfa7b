"""The trials as tables, and all of them to be saved from the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from jobs.formatting import number, plural, short
from jobs.report.html import paragraph, table
from jobs.report.page import Section
from jobs.tune.records.table import finite
from jobs.tune.report.history import TITLE

if TYPE_CHECKING:
    from jobs.tune.report.data import Search

BEST = 20
FAILED = 50
WIDE = Markup('<div class="wide">{}</div>\n')
EXPORT = Markup(
    '<p><button type="button" data-save="trials.csv">Save trials.csv</button> '
    '<button type="button" data-save="trials.json">Save trials.json</button></p>\n'
    '<script type="application/json" id="trials">{}</script>\n'
)
SAVE = """
(function () {
  const {columns, rows} = JSON.parse(document.getElementById("trials").textContent);
  const quoted = (cell) => /[",\\n\\r]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell;
  const line = (cells) => cells.map((cell) => cell === null ? "" : quoted(String(cell))).join(",") + "\\n";
  const object = (row) => JSON.stringify(Object.fromEntries(columns.map((name, at) => [name, row[at]])));
  const text = {
    "trials.csv": () => [columns, ...rows].map(line).join(""),
    "trials.json": () => "[\\n" + rows.map(object).join(",\\n") + "\\n]\\n",
  };
  for (const button of document.querySelectorAll("[data-save]")) button.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text[button.dataset.save]()]));
    link.download = button.dataset.save;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
})();
"""


def trials(search: Search) -> Section:
    """Return the section with the best trials, those that failed, and buttons that save all of them."""
    order = search.order()
    useful = [int(at) for at in order[np.isin(search.states[order], ["complete", "pruned"])][:BEST]]
    body = EXPORT.format(_data(search))
    if useful:
        body += TITLE.format(
            f"The best {len(useful)} of {plural(len(search.trials), 'trial')}, {_order(search, useful)}"
        )
        if len(search.metrics) > 1:
            body += paragraph(f"By {search.metrics[0]}; see the front above.", "note")
        body += WIDE.format(_table(search, useful))
    failed = [int(at) for at in np.flatnonzero(search.states == "failed")]
    if failed:
        body += TITLE.format(plural(len(failed), "failed trial")) + paragraph(
            f"Their tracebacks are in failures/ of the run folder.{f' The last {FAILED}:' * (len(failed) > FAILED)}",
            "note",
        )
        names = list(search.space)
        rows = [(str(at), search.rows[at]["error"] or "", _params(search.rows[at], names)) for at in failed[-FAILED:]]
        body += WIDE.format(table(("Trial", "Error", "Hyperparameters"), rows))
    return Section("Trials", body, SAVE)


def _order(search: Search, shown: list[int]) -> str:
    """Return by what the trials that are shown are ordered."""
    first = f"{search.extreme(0)} {search.metrics[0]} first"
    pruned = search.states[shown] == "pruned"
    kinds = {
        "those that count": ~pruned & search.feasible[shown],
        "those that break a constraint": ~pruned & ~search.feasible[shown],
        "pruned ones, by their last report": pruned,
    }
    there = [name for name, which in kinds.items() if which.any()]
    return f"{', then '.join(there)}; of each the {first}" if there[1:] else first


def _params(row: dict[str, Any], names: list[str]) -> str:
    return ", ".join(f"{name} {short(row[f'params_{name}'], 5)}" for name in names)


def _table(search: Search, shown: list[int]) -> Markup:
    single, mixed = len(search.metrics) == 1, "code" in search.rows[0]
    head = ["Trial", *search.metrics, "State", *search.space, "Steps", "Seconds", "Worker"]
    head += ["Code"] if mixed else []
    rows = []
    for at in shown:
        row, values = search.rows[at], search.scores[at] if single else search.values[at]
        texts = [number(float(value)) if np.isfinite(value) else "" for value in values]
        params = [short(row[f"params_{name}"], 5) for name in search.space]
        seconds = "" if row["seconds"] is None else number(row["seconds"], 3)
        worker = (row["worker"] or "").rpartition("//")[2]
        state = row["state"] if search.feasible[at] else "breaks a constraint"
        rows.append([str(at), *texts, state, *params, str(row["steps"] or ""), seconds, worker])
        rows[-1] += [row["code"] or ""] if mixed else []
    return table(head, rows, "numbers")


def _data(search: Search) -> Markup:
    """Return all trials as JSON that cannot end its script element."""
    columns = list(search.rows[0])
    rows = [[finite(cell) for cell in row.values()] for row in search.rows]
    text = json.dumps({"columns": columns, "rows": rows}, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c"))  # noqa: S704  no tag can be in it
