"""Names of classes, as the images' own names have them, and labels by these."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.alexnet.tars import Index
from jobs.errors import DataError, argument
from jobs.formatting import given

Rule = Callable[[str, str], str]
"""From an image's name in its tar, and the tar's name, to the name of its class."""


def _folder(name: str, tar: str) -> str:  # noqa: ARG001  all rules take both
    return name.rpartition("/")[0].rpartition("/")[2].removesuffix(".tar")  # a tar in the tar is a folder


def _prefix(name: str, tar: str) -> str:  # noqa: ARG001
    return name.rpartition("/")[2].rpartition("_")[0]


def _tar(name: str, tar: str) -> str:  # noqa: ARG001
    return tar.rpartition("/")[2].partition(".")[0]


RULES: tuple[Rule, ...] = (_folder, _prefix, _tar)
"""Where a class's name may stand: the folder in the tar, the image's name up to its last `_`, the tar's name."""


def by_folder(name: str, tar: str) -> str:
    """Return the name of an image's class by `--labels folder`."""
    return _folder(name, tar) or _tar(name, tar)


def folder_labels(index: Index) -> NDArray[np.int32]:
    """Return the label of each image (int32): the place of its folder's name among all such names, sorted.

    Raises:
        DataError: all images lie in one folder.
    """
    places: dict[str, int] = {}  # name -> place in the order in which they are met
    met = np.fromiter(
        (places.setdefault(by_folder(name, tar), len(places)) for name, tar in _names(index)), np.int32, len(index)
    )
    names = sorted(places)
    if len(names) == 1:
        raise DataError(
            f"{argument('labels')} folder: all {len(index):,} images lie in one folder, {given(names[0])}, such as "
            f"{index.address(0)}; put those of each class into a folder or a tar of its own, or give a label file"
        )
    labels = np.empty(len(names), np.int32)
    labels[[places[name] for name in names]] = np.arange(len(names))
    return labels[met]


def _names(index: Index) -> Iterator[tuple[str, str]]:
    """Yield each image's name in its tar, and the tar's name."""
    for tar, (start, stop) in zip(index.tars, itertools.pairwise(index.starts.tolist()), strict=True):
        for number in range(start, stop):
            yield index.name(number), tar.name


def class_names(index: Index, labels: NDArray[np.int32], rules: Sequence[Rule] = RULES) -> list[str]:
    """Return the name of each class: what the names of its images share, and of no other class; else its number.

    Image by image: a text for each of a million would take more memory than all else on the driver.

    Args:
        index: the images.
        labels: class of each image by number, int32; -1 of those without one.
        rules: where the name may stand, in the order in which they are tried.
    """
    found: list[dict[int, str] | None] = [{} for _ in rules]  # label -> name by each rule; None: some class has two
    for label, (name, tar) in zip(labels, _names(index), strict=True):
        if label >= 0:
            _note(found, rules, int(label), name, tar)
    numbers = range(int(labels.max()) + 1)
    for names in found:
        if names is not None and len({*names.values(), ""}) == len(names) + 1:
            return [names.get(label, str(label)) for label in numbers]
    return [str(label) for label in numbers]


def _note(found: list[dict[int, str] | None], rules: Sequence[Rule], label: int, name: str, tar: str) -> None:
    """Note what an image's names say of its class."""
    for place, (rule, names) in enumerate(zip(rules, found, strict=True)):
        if names is not None and names.setdefault(label, its := rule(name, tar)) != its:
            found[place] = None
