"""How rows are read on workers: in one pass of .gz files, in few requests to S3, and what happens if files change."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import numpy as np
import pytest
from forms import FORMS, X, Y, idx, npy, npz, write

from jobs.datasets import open_dataset
from jobs.datasets import ranged_file as file
from jobs.datasets import readers as cursors
from jobs.datasets.dataset import Dataset
from jobs.errors import DataError
from jobs.storage import Access, open_storage
from jobs.storage.s3_client import s3_client

LARGE = np.random.default_rng(1).integers(0, 256, (512, 256, 256), np.uint8)  # 32 MiB
LABELS = np.arange(512) % 10


def blocks(dataset: Dataset, rows: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + rows, dataset.rows)) for start in range(0, dataset.rows, rows))


@pytest.fixture
def requests(s3) -> Iterator[list[str]]:
    """Give a list to which each GET of an object adds its range."""
    ranges: list[str] = []

    def note(request, **_) -> None:
        ranges.append(request.headers.get("Range", b"").decode())

    events = s3_client(Access()).meta.events
    events.register("before-send.s3.GetObject", note)
    yield ranges
    events.unregister("before-send.s3.GetObject", note)


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        ("npz:{}/data.npz", {"data.npz": npz(x=LARGE, y=LABELS)}),
        ("npy:{}", {"x.npy": npy(LARGE), "y.npy": npy(LABELS)}),
        ("idx:{}", {"images-idx3-ubyte": idx(LARGE), "labels-idx1-ubyte": idx(LABELS)}),
    ],
)
def test_few_requests(s3, requests, spec, files):
    """32 MiB in S3, read in blocks of 3 MiB, take a request for 8 MiB each, and no byte of x is fetched twice."""
    write(open_storage(s3), files)
    dataset = open_dataset(spec.format(s3))
    requests.clear()
    for start, stop in blocks(dataset, 48):
        x, y = dataset.read(start, stop)
        np.testing.assert_array_equal(x, LARGE[start:stop])
        np.testing.assert_array_equal(y, LABELS[start:stop])
    assert len(requests) <= 6


def test_one_pass_of_packed_files(tmp_path, monkeypatch):
    """Ascending blocks of a .gz file are decompressed in one pass in a process; a jump back starts one more."""
    passes = []

    class Counting(cursors.Decompressor):
        def _rewind(self) -> None:
            passes.append(self._address)
            super()._rewind()

    monkeypatch.setattr(file, "Decompressor", Counting)
    write(open_storage(tmp_path), {"images-idx3-ubyte.gz": gzip.compress(idx(X)), "labels-idx1-ubyte": idx(Y)})
    dataset = open_dataset(f"idx:{tmp_path}")
    passes.clear()
    for start, stop in blocks(dataset, 70):
        np.testing.assert_array_equal(dataset.read(start, stop)[0], X[start:stop])
    assert len(passes) <= 1
    dataset.read(0, 10)
    dataset.read(100, 110)
    assert len(passes) <= 2
    dataset.read(50, 60)
    assert len(passes) <= 3


def test_many_packed_files(tmp_path):
    """More files than a process remembers, read in turns, give the right rows."""
    datasets = []
    for number in range(6):
        folder = tmp_path / str(number)
        images = gzip.compress(idx(np.roll(X, number, 0)))
        write(open_storage(folder), {"images-idx3-ubyte.gz": images, "labels-idx1-ubyte": idx(Y)})
        datasets.append(open_dataset(f"idx:{folder}"))
    for start, stop in blocks(datasets[0], 100):
        for number, dataset in enumerate(datasets):
            np.testing.assert_array_equal(dataset.read(start, stop)[0], np.roll(X, number, 0)[start:stop])
    assert len(file._cursors) <= 4


def test_replaced_packed_file(tmp_path):
    """A file that was replaced and opened again is read afresh, not where the old one was left."""
    for x in (X, X[::-1]):
        images = gzip.compress(idx(x))
        write(open_storage(tmp_path), {"images-idx3-ubyte.gz": images, "labels-idx1-ubyte": idx(Y)})
        dataset = open_dataset(f"idx:{tmp_path}")
        np.testing.assert_array_equal(dataset.read(50, 100)[0], x[50:100])


@pytest.mark.parametrize("form", ["idx:{}/set", "npz:{}/train.npz", "npy:{}/folder"])
def test_file_that_shrinks(storage, form):
    """A file that became shorter after it was opened is a DataError that names it and the rows, not a crash."""
    write(storage, FORMS[form])
    dataset = open_dataset(form.format(storage.url))
    storage, name = dataset.features.file.storage, dataset.features.file.name
    storage.write(name, storage.read(name)[: dataset.features.offset + 35 * 150])
    file._cursors.clear()
    np.testing.assert_array_equal(dataset.read(100, 110)[0], X[100:110])
    with pytest.raises(DataError, match=r"rows 140..159 need bytes .*the last 350 are missing") as caught:
        dataset.read(140, 160)
    assert dataset.features.address in str(caught.value)


def test_packed_file_that_shrinks(storage):
    """So is a .gz file."""
    write(storage, FORMS["idx:{}/packed/"])
    dataset = open_dataset(f"idx:{storage.url}/packed")
    storage, name = dataset.features.file.storage, dataset.features.file.name
    storage.write(name, storage.read(name)[:5000])
    file._cursors.clear()
    with pytest.raises(DataError, match=rf"{dataset.features.address}: not a complete .gz file"):
        dataset.read(200, 300)


@pytest.mark.parametrize("form", ["idx:{}/set", "idx:{}/packed/", "npz:{}/train.npz", "npy:{}/folder"])
def test_file_that_vanishes(storage, form):
    """A file that is gone when its rows are read is a DataError that names it and the rows."""
    write(storage, FORMS[form])
    dataset = open_dataset(form.format(storage.url))
    dataset.features.file.storage.delete(dataset.features.file.name)
    file._cursors.clear()
    with pytest.raises(DataError, match=rf"{dataset.features.address}: rows 100..109 cannot be read; the file is gone"):
        dataset.read(100, 110)
