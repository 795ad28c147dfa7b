"""Fenced blocks of the documentation's pages, and running those that are marked for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its info string, its text, and what the page says that it prints, if it does."""

    info: str
    text: str
    output: str | None


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    text = page.read_text()
    found = list(FENCE.finditer(text))
    for block, after in zip_longest(found, found[1:]):
        told = after and after["info"] == "text output" and not text[block.end() : after.start()].strip()
        yield Block(block["info"], block["text"], after["text"] if after and told else None)


def marked(page: Path, infos: Sequence[str] = ("python run", "bash run")) -> list[Block]:
    """Return the blocks of a page with one of some info strings."""
    return [block for block in blocks(page) if block.info in infos]


def run(some: Sequence[Block], folder: Path) -> None:
    """Run blocks one after the other in a copy of examples/; each must succeed, and print what the page says."""
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("__pycache__", "runs", "*.npy"))
    environment = {**commands_environment(), "PYTHONPATH": str(folder)}
    for block in some:
        shell = ["bash", "-euo", "pipefail", "-c"] if block.info.startswith("bash") else [sys.executable, "-c"]
        ended = subprocess.run(
            [*shell, block.text], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        if block.output is not None:
            assert ended.stdout == block.output


def commands_environment() -> dict[str, str]:
    """Return the environment with the programs of this Python on the path: `make test` activates no environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path}
