"""Names of classes, as the images' own names have them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.tars import Index


def _folder(name: str, tar: str) -> str:  # noqa: ARG001  all rules take both
    return name.rpartition("/")[0].rpartition("/")[2]


def _prefix(name: str, tar: str) -> str:  # noqa: ARG001
    return name.rpartition("/")[2].rpartition("_")[0]


def _tar(name: str, tar: str) -> str:  # noqa: ARG001
    return tar.rpartition("/")[2].partition(".")[0]


RULES: tuple[Callable[[str, str], str], ...] = (_folder, _prefix, _tar)
"""Where a class's name may stand: the folder in the tar, the image's name up to its last `_`, the tar's name."""


def class_names(index: Index, labels: NDArray[np.int32]) -> list[str]:
    """Return the name of each class: what the names of its images share, and of no other class; else its number.

    Args:
        index: the images.
        labels: class of each image by number, int32; -1 of those without one.
    """
    tars = np.repeat(np.arange(len(index.tars)), np.diff(index.starts))
    members = [
        (int(label), index.name(number), index.tars[tars[number]].name)
        for number, label in enumerate(labels)
        if label >= 0
    ]
    for rule in RULES:
        found: dict[int, set[str]] = {}
        for label, name, tar in members:
            found.setdefault(label, set()).add(rule(name, tar))
        names = {label: min(its) for label, its in found.items()}
        if all(len(its) == 1 for its in found.values()) and len({*names.values(), ""}) == len(names) + 1:
            return [names.get(label, str(label)) for label in range(int(labels.max()) + 1)]
    return [str(label) for label in range(int(labels.max()) + 1)]
