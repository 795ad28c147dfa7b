"""Names of classes, as the images' own names have them, and labels by these."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from jobs.alexnet.class_names import by_folder, class_names, folder_labels
from jobs.alexnet.tars import Index, Tar
from jobs.errors import DataError


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
        (_index(a=["n01.tar/1.jpg", "n02.tar/1.jpg"]), [0, 1], ["n01", "n02"]),
        (_index(a=["x/1.jpg", "y/1.jpg", "y/2.jpg"]), [0, 0, 1], ["0", "1"]),
        (_index(a=["x/1.jpg", "x/2.jpg"]), [0, 1], ["0", "1"]),
        (_index(a=["cat/1.jpg", "cow/1.jpg", "none/1.jpg"]), [0, 2, -1], ["cat", "1", "cow"]),
    ],
    ids=["folders", "prefixes", "tars", "tars in a tar", "several", "one for two", "a class without images"],
)
def test_names(index, labels, names):
    """Folders in the tars, the beginnings of images' names, or the tars' own names, where these tell classes apart."""
    assert class_names(index, np.array(labels, np.int32)) == names


@pytest.mark.parametrize(
    ("index", "labels", "names"),
    [
        (_index(a=["train/dog/1.jpg", "train/cat/1.jpg"], b=["val/cat/1.jpg"]), [1, 0, 0], ["cat", "dog"]),
        (_index(a=["n02.tar/x_1.jpg", "n01.tar/y_1.jpg"]), [1, 0], ["n01", "n02"]),
        (_index(n02=["1.jpg", "2.jpg"], n01=["1.jpg"]), [1, 1, 0], ["n01", "n02"]),
        (_index(cat=["1.jpg"], b=["dog/rex_1.jpg"]), [0, 1], ["cat", "dog"]),
    ],
    ids=["folders", "tars in a tar", "tars", "either"],
)
def test_labels_by_folder(index, labels, names):
    """The classes are the folders, or tars, in the order of their names, whichever comes first in the tars."""
    found = folder_labels(index)
    assert found.dtype == np.int32
    assert found.tolist() == labels
    assert class_names(index, found, [by_folder]) == names


def test_one_folder():
    """A network that tells one class from none was not meant: WebDataset's shards have no folders, say."""
    index = _index(a=["shard/1.jpg"], b=["shard/2.jpg"])
    with pytest.raises(DataError, match="all 2 images lie in one folder, 'shard', such as /tars/a.tar/shard/1.jpg"):
        folder_labels(index)


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
