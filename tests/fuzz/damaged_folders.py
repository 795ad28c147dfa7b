"""Commands on run folders one of whose files is damaged, or another version's."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutations import mutated
from seeds import seeded, times

from jobs.cli import main

SHOW, REPORT = ["show", "RUN"], ["report", "RUN"]
LIST, COMPARE = ["list", "RUN", "--output", "json"], ["compare", "RUN", "RUN"]


def mutations(folder: Path, work: Path, seed: int, count: int) -> Iterator[str]:
    """Make `work` a copy of a run folder with one file changed, `count` times; yield what was changed."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for number in range(times(count)):
        random = seeded(f"{seed}-{number}")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(folder, work)
        name = random.choice(names)
        (work / name).write_bytes(mutated(name, (work / name).read_bytes(), random))
        ends = name != "result.json" and random.random() < 0.3
        if ends:
            (work / "result.json").unlink()  # a run that goes on
        yield f"seed {seed}, number {number}: {name}, {'without' if ends else 'with'} a result"


def run_quietly(command: list[str]) -> int:
    """Run a command in this process, and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as in a process of its own, where they are no errors
        return main(command)


def exit_code(command: list[str], run: Path, what: str, capsys: pytest.CaptureFixture[str]) -> int:
    """Return a command's exit code on a run folder, after checking that it is told in one line if it failed."""
    capsys.readouterr()
    code = run_quietly([str(run) if one == "RUN" else one for one in command])
    out, err = capsys.readouterr()
    told = [line for line in err.splitlines() if line.startswith("dask-jobs: error: ")]
    assert "Traceback" not in out + err, what
    assert code in (0, 2, 4), f"{what}: exit code {code}\n{err}"  # 3 would be tried again, 1 is the user's code
    assert code != 2 or len(told) == 1, f"{what}\n{err}"
    return code


def check(run: Path, commands: list[list[str]], seed: int, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Run commands on mutations of a run folder: none is a traceback, and not all are refused."""
    seen: Counter[int] = Counter()
    work = run.parent / "damaged"
    for what in mutations(run, work, seed, count):
        for command in commands:
            seen[exit_code(command, work, f"{' '.join(command)}: {what}", capsys)] += 1
    assert seen[0], seen
