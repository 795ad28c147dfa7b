"""Every form of data set, on a local folder and in S3, gives the same rows."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forms import FORMS, X, Y, npy, npz, write

from jobs.datasets import open_dataset
from jobs.errors import DataError
from jobs.storage import open_storage

RANGES = [(0, 1), (1, 100), (100, 100), (100, 250), (250, 300), (0, 300), (17, 23), (299, 300), (5, 6)]


@pytest.mark.parametrize("form", FORMS)
def test_equal_rows(storage, form):
    """All ranges of rows, ascending or not, are equal to the bit, on the driver and after pickling."""
    write(storage, FORMS[form])
    dataset = open_dataset(form.format(storage.url))
    scale = 1 / 255 if any("idx" in name for name in FORMS[form]) else 1.0
    assert (dataset.rows, dataset.shape, dataset.classes, dataset.scale) == (300, (7, 5), 10, scale)
    assert dataset.spec == form.format(storage.url)
    for reader in (dataset, pickle.loads(pickle.dumps(dataset))):
        for start, stop in RANGES:
            x, y = reader.read(start, stop)
            assert (x.dtype, y.dtype) == (np.uint8, np.int64)
            np.testing.assert_array_equal(x, X[start:stop], strict=True)
            np.testing.assert_array_equal(y, Y[start:stop], strict=True)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", ">f4", "<f8", "float16"])
def test_types(tmp_path, storage, dtype):
    """Features come in the type they are stored in, in this machine's byte order."""
    x = (X % 2).astype(dtype)
    write(storage, {"x.npy": npy(x), "y.npy": npy(Y)})
    read, _ = open_dataset(f"npy:{storage.url}").read(10, 20)
    np.testing.assert_array_equal(read, x[10:20].astype(np.dtype(dtype).newbyteorder("=")), strict=True)


def test_rows_are_read_only(tmp_path, storage):
    """Nobody changes a block that was read: loading it again must give the same."""
    write(storage, FORMS["npy:{}/folder"])
    x, _ = open_dataset(f"npy:{storage.url}/folder").read(0, 10)
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1


def test_only_rows_that_are_there(tmp_path, storage):
    """Rows behind the last one are an IndexError."""
    write(storage, FORMS["npy:{}/folder"])
    with pytest.raises(IndexError, match=r"rows 299..300 .*x.npy, which has 300"):
        open_dataset(f"npy:{storage.url}/folder").read(299, 301)


@pytest.mark.parametrize("form", FORMS)
def test_fingerprint(tmp_path, storage, form):
    """The fingerprint stays with a copy elsewhere and changes with the first or last byte of the data."""
    write(storage, FORMS[form])
    fingerprint = open_dataset(form.format(storage.url)).fingerprint()
    write(open_storage(tmp_path / "copy"), FORMS[form])
    assert open_dataset(form.format(tmp_path / "copy")).fingerprint() == fingerprint


def test_fingerprint_of_other_data(tmp_path):
    """Other features, labels or types have another fingerprint."""
    variants = [
        (X, Y),
        (X + 1, Y),
        (X, (Y + 1) % 10),
        (X.astype(np.int8), Y),
        (X, Y.astype(np.int16)),
        (X[:200], Y[:200]),
    ]
    fingerprints = set()
    for x, y in variants:
        write(open_storage(tmp_path), {"x.npy": npy(x), "y.npy": npy(y)})
        fingerprints.add(open_dataset(str(tmp_path)).fingerprint())
    assert len(fingerprints) == len(variants)


def test_given_classes(tmp_path, storage):
    """More classes than there are labels of may be given."""
    write(storage, FORMS["npy:{}/folder"])
    assert open_dataset(f"npy:{storage.url}/folder", classes=12).classes == 12


@pytest.mark.parametrize("form", ["npy", "npz"])
@pytest.mark.parametrize(
    "y", [Y * -0.5, Y.astype(np.float32), np.eye(10, dtype=np.uint8)[Y], np.ones((300, 2, 3), ">f4"), Y - 5]
)
def test_targets(storage, form, y):
    """Any numbers, as they were saved, for who asks for them; no one else takes them for labels."""
    write(storage, {"x.npy": npy(X), "y.npy": npy(y), "data.npz": npz(x=X, y=y)})
    spec = f"npy:{storage.url}" if form == "npy" else f"npz:{storage.url}/data.npz"
    data = open_dataset(spec, targets=True)
    read = data.read(7, 300)[1]
    assert read.tolist() == y[7:].tolist()
    assert read.dtype == (y.dtype.newbyteorder("=") if y.dtype.kind == "f" else np.int64)
    assert (data.classes, data.read(0, 3)[1].shape) == (0, (3, *y.shape[1:]))
    with pytest.raises(DataError):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y.astype(str), "array 'y': the type is <U21, but must be numbers: save y.astype(np.float32)"),
        (np.ones((300, 0)), "y has shape (300, 0), but must be (rows, ...): at least one number a row"),
        (np.ones(()), "y has shape (), but must be"),
        (np.ones((200, 3)), "300 rows of features"),
    ],
)
def test_targets_that_are_none(storage, y, message):
    """One line that says what is wrong."""
    write(storage, {"x.npy": npy(X), "y.npy": npy(y)})
    with pytest.raises(DataError, match=re.escape(message)):
        open_dataset(f"npy:{storage.url}", targets=True)


def test_digits():
    """The shipped digits are the 1,797 of scikit-learn, by the sums of their pixels and labels."""
    dataset = open_dataset("digits")
    assert (dataset.rows, dataset.shape, dataset.classes, dataset.scale) == (1797, (8, 8), 10, 1 / 16)
    x, y = dataset.read(0, 1797)
    assert x.max() == 16
    assert x.sum() == 561_718
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert y[:10].tolist() == list(range(10))
    assert x[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_digits_elsewhere(tmp_path):
    """The digits are found where the package is installed, also when that is another place than the driver's."""
    root = Path(__file__).parents[2]
    (tmp_path / "jobs").symlink_to(root / "jobs")
    pickled = pickle.dumps(open_dataset("digits"))
    assert str(root).encode() not in pickled
    code = "import pickle, sys; d = pickle.load(sys.stdin.buffer); print(d.features.address, *d.read(0, 5)[1])"
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.decode().split() == [f"{tmp_path}/jobs/datasets/digits/images-idx3-ubyte", *"01234"]


def test_small_pickle(storage):
    """A data set travels with each task, so it is small."""
    write(storage, FORMS["npz:{}/train.npz"])
    assert len(pickle.dumps(open_dataset(f"npz:{storage.url}/train.npz"))) < 1500


def test_imports():
    """Data sets by themselves, without what `jobs` imports, need neither boto3 nor SciPy, Dask or TensorFlow."""
    code = """
import sys, types
sys.modules["jobs"] = jobs = types.ModuleType("jobs")
jobs.__path__ = ["jobs"]
from jobs.datasets import open_dataset
from jobs.errors import DataError
open_dataset("digits").read(0, 10)
print({"boto3", "scipy", "dask", "tensorflow"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == b"set()\n"
