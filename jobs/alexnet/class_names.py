"""Names of classes, as the images' own names have them."""

from __future__ import annotations

import itertools
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

    Image by image: a text for each of a million would take more memory than all else on the driver.

    Args:
        index: the images.
        labels: class of each image by number, int32; -1 of those without one.
    """
    found: list[dict[int, str] | None] = [{} for _ in RULES]  # label -> name by each rule; None: some class has two
    for tar, (start, stop) in zip(index.tars, itertools.pairwise(index.starts.tolist()), strict=True):
        for number in range(start, stop):
            if (label := int(labels[number])) >= 0:
                _note(found, label, index.name(number), tar.name)
    numbers = range(int(labels.max()) + 1)
    for names in found:
        if names is not None and len({*names.values(), ""}) == len(names) + 1:
            return [names.get(label, str(label)) for label in numbers]
    return [str(label) for label in numbers]


def _note(found: list[dict[int, str] | None], label: int, name: str, tar: str) -> None:
    """Note what an image's names say of its class."""
    for place, (rule, names) in enumerate(zip(RULES, found, strict=True)):
        if names is not None and names.setdefault(label, its := rule(name, tar)) != its:
            found[place] = None
