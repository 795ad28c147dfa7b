"""The documentation cannot rot: its tables, links, copies of examples and marked code blocks are checked.

The info string of a fenced block marks it:

    python run, bash run    it is run in a copy of examples/, with those before it on the page, and must succeed
    python torch run        the same, by `make test-torch`
    text output             right after such a block: what that prints
    ... file=NAME           it is the text of examples/NAME
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_blocks import ROOT, blocks, marked, run

from jobs import registry
from jobs.minimize.optimize.methods import METHODS, Method
from jobs.options import JobOptions

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
OPTION_ROW = re.compile(r"^\| `--(?P<name>[a-z0-9-]+)` \| (?P<default>[^|]*) \|", re.MULTILINE)
GRADIENT = {"unused": "not used", "estimated": "used, else estimated", "needed": "needed"}
HESSIAN = {
    "unused": "not used",
    "optional": "used if there",
    "product": "`hessp` or `hess` needed",
    "matrix": "`hess` needed",
}


JOBS: dict[str, type[JobOptions]] = {name: registry.find(name).load_options() for name in registry.names()}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if marked(page)], ids=_name)
def test_marked_blocks_run(page: Path, tmp_path: Path) -> None:
    """What a page marks to be run succeeds as it stands, and prints what the page says."""
    run(marked(page), tmp_path / "examples")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_shown_files_are_the_examples(page: Path) -> None:
    """A file that a page shows is the one in examples/."""
    for block in blocks(page):
        if shown := re.search(r" file=(\S+)$", block.info):
            assert block.text == (ROOT / "examples" / shown[1]).read_text()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link within the repository leads to a file, or to a heading of the page."""
    text = page.read_text()
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("job", JOBS)
def test_every_option_is_documented(job: str) -> None:
    """The table of options names all of them, no other, and their defaults."""
    fields = JOBS[job].model_fields
    rows = {row["name"]: row["default"] for row in OPTION_ROW.finditer((ROOT / f"docs/{job}.md").read_text())}
    assert set(rows) == {name.replace("_", "-") for name in fields}
    for name, field in fields.items():
        told, default = rows[name.replace("_", "-")], field.get_default(call_default_factory=True)
        if field.is_required():
            assert told == "required"
        elif default not in (None, {}, []):
            default = ",".join(default) if isinstance(default, list) else default
            assert told == (f"`{default:g}`" if isinstance(default, float) else f"`{default}`")
        elif name != "run":
            assert told == "none"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_shown_commands_take_their_options(page: Path) -> None:
    """An option that a page gives to a job's command exists."""
    for block in blocks(page):
        for job, command in re.findall(rf"dask-jobs ({'|'.join(JOBS)}) (.*)", block.text):
            for name in re.findall(r"--([a-z0-9-]+)", command):
                assert name == "help" or name.replace("-", "_") in JOBS[job].model_fields


def _row(method: Method) -> str:
    takes = ["yes" if taken else "no" for taken in (method.bounds, method.constraints)]
    cells = [method.name, GRADIENT[method.gradient], HESSIAN[method.hessian], *takes, f"`{method.iterations}`"]
    return f"| {' | '.join(cells)} |"


def test_every_method_is_documented() -> None:
    """The table of methods says of each what it needs and takes."""
    table = (ROOT / "docs/minimize.md").read_text().partition("## Methods")[2].partition("## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert rows == [_row(method) for method in METHODS.values()]
