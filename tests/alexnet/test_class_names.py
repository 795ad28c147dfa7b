"""Names of classes, as the images' own names have them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from jobs.alexnet.class_names import class_names
from jobs.alexnet.tars import Index, Tar


def _index(**tars: list[str]) -> Index:
    names = [name for its in tars.values() for name in its]
    zeros = np.zeros(len(names), np.int64)
    starts = np.cumsum([0, *(len(its) for its in tars.values())])
    content = "".join(f"{name}\0" for name in names).encode()
    return Index("/tars", tuple(Tar(f"{tar}.tar", (1, "")) for tar in tars), starts, zeros, zeros, zeros, content)


@pytest.mark.parametrize(
    ("index", "labels", "names"),
    [
        (_index(a=["cat/1.jpg", "dog/1.jpg"], b=["cat/2.jpg"]), [0, 1, 0], ["cat", "dog"]),
        (_index(a=["n01_1.jpg", "n02_1.jpg", "n01_2.jpg"]), [1, 0, 1], ["n02", "n01"]),
        (_index(n01=["1.jpg", "2.jpg"], n02=["3.jpg"]), [0, 0, 1], ["n01", "n02"]),
        (_index(a=["x/1.jpg", "y/1.jpg", "y/2.jpg"]), [0, 0, 1], ["0", "1"]),
        (_index(a=["x/1.jpg", "x/2.jpg"]), [0, 1], ["0", "1"]),
        (_index(a=["cat/1.jpg", "cow/1.jpg", "none/1.jpg"]), [0, 2, -1], ["cat", "1", "cow"]),
    ],
    ids=["folders", "prefixes", "tars", "several", "one for two", "a class without images"],
)
def test_names(index, labels, names):
    """Folders in the tars, the beginnings of images' names, or the tars' own names, where these tell classes apart."""
    assert class_names(index, np.array(labels, np.int32)) == names


def test_memory():
    """A few bytes per image, however many there are: the driver holds the names of ImageNet's 1.28 million too."""
    count = 20_000
    labels = np.sort(np.arange(count, dtype=np.int32) % 100)
    members = [f"n{label:08}/n{label:08}_{number}.JPEG" for number, label in enumerate(labels)]
    index = _index(a=members)
    tracemalloc.start()
    try:
        names = class_names(index, labels)
        peak = tracemalloc.get_traced_memory()[1]
        base_names = index.base_names()
        later = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert names == [f"n{label:08}" for label in range(100)]
    assert base_names.tolist() == [name.rpartition("/")[2].encode() for name in members]
    assert max(peak, later) < 60 * count
