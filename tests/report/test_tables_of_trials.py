"""The table of trials as CSV: a spreadsheet that opens it runs nothing, and numbers stay numbers."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from urllib.parse import unquote

from browser import CHROMIUM

from jobs.report.environment import new_environment
from jobs.runs.tables import as_csv

VALUES = [
    "=HYPERLINK(1)",
    "+cmd|x",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "-",
    "a=b",
    "it, 'is'",
    "-0.5",
    "+1e-7",
    "-1.",
    "1=1",
]
SAFE = [f"'{text}" for text in VALUES[:7]] + VALUES[7:]
ROW = {"number": -1, "value": -2.5e-7, "kind": None, **{f"params_{at}": text for at, text in enumerate(VALUES)}}
PAGE = """
<script type="application/json" id="trials">{data}</script><button data-save="trials.csv"></button><script>
HTMLAnchorElement.prototype.click = () => {{}};
const keep = (text) => {{ document.body.dataset.saved = encodeURIComponent(text); }};
URL.createObjectURL = (blob) => {{ blob.text().then(keep); return "#"; }};
{script}
document.querySelector("button").click();
</script>
"""


def _read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_formulas_in_the_file() -> None:
    """A text that a spreadsheet would take for a formula begins with an apostrophe; texts that are numbers do not."""
    header, row = _read(as_csv([ROW]).decode())
    assert header == list(ROW)
    assert row == ["-1", "-2.5e-07", "", *SAFE]


def test_formulas_in_what_the_report_saves(tmp_path) -> None:
    """The page's own button saves the same cells."""
    data = json.dumps({"columns": list(ROW), "rows": [list(ROW.values())]})
    environment = new_environment("jobs.tune.report")
    script, _, _ = environment.loader.get_source(environment, "job/save.js")
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><body>{PAGE.format(data=data, script=script)}", encoding="utf-8")
    command = [*CHROMIUM, f"--user-data-dir={tmp_path / 'data'}", page.as_uri()]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    header, row = _read(unquote(re.search(r'data-saved="([^"]*)"', dom)[1]))
    assert header == list(ROW)
    assert row == ["-1", "-2.5e-7", "", *SAFE]
