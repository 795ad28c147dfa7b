"""The evaluations of a run as columns, and which of them a plot needs."""

from __future__ import annotations

import csv
import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jobs.errors import InputError
from jobs.minimize.display.monitor import COLUMNS
from jobs.report.content import Curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jobs.storage import Storage


@dataclass(frozen=True)
class History:
    """What history.csv holds, one entry per evaluation, all (n,) float64.

    `seconds` count from the start of the run; `loss` may be inf or nan; `gradient_norm` is nan where none was computed.
    """

    evaluation: NDArray[np.float64]
    seconds: NDArray[np.float64]
    loss: NDArray[np.float64]
    gradient_norm: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of evaluations."""
        return self.loss.size

    @cached_property
    def lowest(self) -> int | None:
        """The index of the lowest finite loss, the first of equal ones; None if there is none."""
        finite = np.isfinite(self.loss)
        return int(np.argmin(np.where(finite, self.loss, np.inf))) if finite.any() else None


def curve(storage: Storage) -> Curve | None:
    """Return the lowest loss so far over the evaluations; None without one.

    Raises:
        InputError: history.csv is damaged.
    """
    history = read_history(storage)
    lowest = lowest_so_far(history.loss)
    shown = np.flatnonzero(np.isfinite(lowest))
    shown = shown[downsample(lowest[shown])]
    points = list(zip(history.evaluation[shown].tolist(), lowest[shown].tolist(), strict=True))
    return Curve("evaluations", "lowest loss so far", points, steps=True) if points else None


def read_history(storage: Storage) -> History:
    """Read history.csv of a run folder; it is empty where there is none yet.

    Raises:
        InputError: the file is damaged.
        ClusterError: the storage failed.
    """
    try:
        content = storage.read("history.csv")
    except FileNotFoundError:
        content = b""
    return parse_history(content.decode(errors="replace"))


def parse_history(text: str) -> History:
    """Read the text of history.csv, `""` where there is none yet.

    Raises:
        InputError: the columns are not those of a history, or a value is not a number.
    """
    reader = csv.DictReader(text.splitlines())
    try:
        if text and tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"history.csv has the columns {reader.fieldnames!r}, but they must be {list(COLUMNS)!r}")
        rows = [[float(row[name] or "nan") for name in COLUMNS] for row in reader]
    except (ValueError, csv.Error) as error:
        raise InputError(f"history.csv, line {reader.line_num}: {error}") from error
    return History(*np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS)).T)


def lowest_so_far(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running minimum (n,) of the finite `values` (n,); nan before the first finite one."""
    return np.fmin.accumulate(np.where(np.isfinite(values), values, np.nan))


def downsample(values: NDArray[np.float64], points: int = 2000) -> NDArray[np.intp]:
    """Choose at most `points` of finite `values` (n,) so that a plot of them looks like a plot of all.

    Returns:
        Indices (m,), rising: all if n <= points, else the smallest and the largest value of each of points / 2 equal
        runs, so that no spike and no minimum is lost.
    """
    if values.size <= points:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, points // 2 + 1).astype(np.intp)
    kept = [
        start + pick(values[start:stop]) for start, stop in itertools.pairwise(edges) for pick in (np.argmin, np.argmax)
    ]
    return np.unique(np.array(kept, dtype=np.intp))
