"""Notebooks in a real Jupyter kernel; `python tests/notebooks.py` executes the examples and keeps their outputs."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = tuple(sorted(EXAMPLES.glob("*.ipynb")))


class Kernel:
    """A Jupyter kernel in which cells are executed, one after the other.

    Args:
        client: whose kernel has started.
    """

    def __init__(self, client: NotebookClient) -> None:
        self._client = client

    def run(self, source: str) -> list[dict[str, Any]]:
        """Execute a cell, and return its outputs; an exception is one of them."""
        cell = nbformat.v4.new_code_cell(source)
        self._client.nb.cells.append(cell)
        self._client.execute_cell(cell, len(self._client.nb.cells) - 1)
        return list(cell.outputs)

    def value(self, source: str) -> str:
        """Execute a cell, and return its value as text.

        Raises:
            AssertionError: it raised, or has no value.
        """
        outputs = self.run(source)
        texts = [one["data"]["text/plain"] for one in outputs if one["output_type"] == "execute_result"]
        assert texts, outputs
        return str(texts[0])


@contextlib.contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    """Yield a kernel that runs in a folder."""
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        nbformat.v4.new_notebook(),
        timeout=240,
        kernel_name="python3",
        resources=resources,
        allow_errors=True,
    )
    with client.setup_kernel():
        yield Kernel(client)


def code_cells(path: Path) -> list[Any]:
    """Return the code cells of a notebook."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def execute(path: Path) -> None:
    """Execute a notebook in a folder of its own, and keep its outputs but for warnings."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder, kernel(Path(folder)) as ours:
        for number, cell in enumerate((one for one in notebook.cells if one.cell_type == "code"), start=1):
            outputs = ours.run(cell.source)
            cell.outputs = [one for one in outputs if one.get("name") != "stderr"]
            cell.execution_count = number
            for output in cell.outputs:
                assert output["output_type"] != "error", output
                if "execution_count" in output:
                    output["execution_count"] = number
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for one in map(Path, sys.argv[1:] or NOTEBOOKS):
        execute(one)
