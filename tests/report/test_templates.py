"""The templates of reports: they are in the wheel, escape what they print, and miss no variable in silence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from html import unescape
from pathlib import Path

import pytest
from bokeh.plotting import figure
from jinja2 import UndefinedError

from jobs.report import theme
from jobs.report.page import Plot, Section, page

ROOT = Path(__file__).parents[2]
HEAD = dict.fromkeys(("title", "url", "css", "label", "summary"), "") | dict.fromkeys(
    ("updated", "error", "details", "progress")
)


def test_the_wheel_has_all_templates(tmp_path):
    """Each file that lies in a folder of templates is in the wheel, and nothing else but the package's own files."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as backend; backend.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    there = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "jobs").rglob("*") if path.is_file()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("jobs/")}
    assert {"jobs/report/templates/page.html", "jobs/tune/report/templates/save.js"} <= packed
    assert packed == there


def test_the_palette_has_one_owner():
    """A colour of the theme stands in no other file: two plots cannot come to differ by a shade."""
    palette = {value for value in vars(theme).values() if isinstance(value, str) and value.startswith("#")}
    assert theme.BLUE in palette
    others = [path for path in (ROOT / "jobs").rglob("*") if path.suffix in (".py", ".css", ".html", ".js")]
    for path in others:
        text = path.read_text().lower() if path != Path(theme.__file__) else ""
        assert not [colour for colour in palette if colour in text], path


def test_what_a_template_prints_is_escaped():
    """A tag in a section's data, in a heading or in a caption is text; the template's own tags are tags."""
    hostile = "<b onclick='x'>\"&"
    sections = [
        Section(hostile, "report/text.html", {"text": hostile}),
        Section("", "report/plots.html", {"notes": [], "key": {"dots": []}}, [Plot(hostile, figure())]),
    ]
    html = page(hostile, HEAD | {"url": hostile, "css": hostile}, sections, "jobs.report")
    html = html.partition("</style>")[0] + html.partition("</style>")[2].partition("<script")[0]
    assert hostile not in html
    assert unescape(html).count(hostile) == 7
    assert f"<p>{hostile}</p>" in unescape(html)


def test_a_variable_that_is_missing_is_an_error():
    """A section without what its template needs makes no page."""
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        page("", HEAD, [Section("", "report/text.html")], "jobs.report")
