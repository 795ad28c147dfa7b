"""What `open_dataset` refuses, each in one line that names the file, what is wrong and what to do."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from forms import X, Y, idx, npy, npz, write

from jobs.datasets import open_dataset
from jobs.errors import DataError, InputError
from jobs.storage import Storage, open_storage

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def folder(tmp_path) -> Storage:
    return open_storage(tmp_path)


def refusal(spec: str, kind: type[InputError] = DataError, classes: int | None = None) -> str:
    """Return the line that tells why `spec` cannot be used."""
    with pytest.raises(InputError) as caught:
        open_dataset(spec, classes)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("", InputError, "data set '': not found, or of no known form; give 'digits', 'idx:FOLDER', 'npz:FILE.npz'"),
        ("digit", InputError, "did you mean 'digits'?"),
        ("indx:/data", InputError, "did you mean 'idx'?"),
        ("gs://bucket/mnist", InputError, "s3://bucket/prefix"),
        ("{}/none", InputError, "data set '{}/none': not found"),
        (
            "idx:{}/none",
            DataError,
            "data set 'idx:{}/none': no images there; give a folder with train-images-idx3-ubyte",
        ),
        ("npy:{}/none", DataError, "{}/none/x.npy does not exist"),
        ("npz:{}/none.npz", DataError, "{}/none.npz does not exist"),
        ("{}/none.npz", DataError, "{}/none.npz does not exist"),
        ("npz:{}", InputError, "{}: cannot be read"),
        ("npz:", InputError, "'' is no name of a file"),
        ("idx:", InputError, "the folder is ''"),
        ("npy:s3:/bucket", InputError, "did you mean 's3://'?"),
    ],
)
def test_no_such_data(tmp_path, spec, kind, message):
    """A data set that is not there or of no known form is refused; a form is proposed when one is near."""
    assert message.format(tmp_path) in refusal(spec.format(tmp_path), kind)


def test_nothing_in_s3(s3):
    """A prefix without data and a bucket that does not exist are told apart."""
    assert "no images there" in refusal(f"idx:{s3}/mnist")
    assert "not found, or of no known form" in refusal(s3, InputError)
    assert f"{s3}/x.npz does not exist" in refusal(f"{s3}/x.npz")
    assert "no such bucket" in refusal("s3://nobody-has-this/mnist", InputError)


def test_classes(tmp_path):
    """The number of classes is at least 1."""
    assert "classes is 0" in refusal("digits", InputError, classes=0)
    assert "but must be at most 16,777,216" in refusal("digits", InputError, classes=99_999_999_999)


def damage(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


PACKED = gzip.compress(idx(X))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ({IMAGES: idx(Y)}, {LABELS: idx(Y)}, f"{IMAGES}: the magic number is 0x00000801, but must be 0x00000803"),
        ({IMAGES: idx(X)}, {LABELS: idx(X)}, f"{LABELS}: the magic number is 0x00000803, but must be 0x00000801"),
        ({IMAGES: PACKED}, {LABELS: idx(Y)}, f"{IMAGES}: the magic number is 0x1f8b"),
        ({IMAGES: idx(X)[:9]}, {LABELS: idx(Y)}, f"{IMAGES}: truncated; it has 9 bytes, its header alone has 16"),
        ({IMAGES: b""}, {LABELS: idx(Y)}, f"{IMAGES}: truncated; it has 0 bytes"),
        (
            {IMAGES: idx(X)[:-1]},
            {LABELS: idx(Y)},
            f"{IMAGES}: its header says 300 x 7 x 5, 10516 bytes in all, but there are 10515",
        ),
        ({IMAGES: idx(X)}, {LABELS: idx(Y) + b"0"}, "308 bytes in all, but there are 309"),
        ({f"{IMAGES}.gz": gzip.compress(idx(X)[:-1])}, {LABELS: idx(Y)}, "10516 bytes in all, but there are 10515"),
        ({f"{IMAGES}.gz": PACKED[:-20]}, {LABELS: idx(Y)}, f"{IMAGES}.gz: not a complete .gz file"),
        ({f"{IMAGES}.gz": damage(PACKED, -6)}, {LABELS: idx(Y)}, f"{IMAGES}.gz: not a complete .gz file (CRC check"),
        ({f"{IMAGES}.gz": damage(PACKED, 50)}, {LABELS: idx(Y)}, f"{IMAGES}.gz: not a complete .gz file"),
        ({f"{IMAGES}.gz": idx(X)}, {LABELS: idx(Y)}, f"{IMAGES}.gz: not a complete .gz file (Not a gzipped file"),
        ({IMAGES: idx(X)}, {}, f"{LABELS} is missing"),
        (
            {IMAGES: idx(X)},
            {LABELS: idx(Y[:-1])},
            f"300 rows of features ({{}}/{IMAGES}), but 299 labels ({{}}/{LABELS})",
        ),
        ({IMAGES: idx(X[:0])}, {LABELS: idx(Y[:0])}, "x has shape (0, 7, 5); there must be at least one row"),
        ({IMAGES: struct.pack(">4I", 0x803, 300, 0, 5)}, {LABELS: idx(Y)}, "x has shape (300, 0, 5)"),
    ],
)
def test_bad_idx(folder, images, labels, message):
    """IDX files of another kind, truncated, damaged or unequal are refused."""
    write(folder, {**images, **labels})
    assert message.format(folder.url, folder.url) in refusal(f"idx:{folder.url}")


FLAT = X.reshape(300, 35)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (FLAT.astype(object), Y, "array 'x': the type is object, but must be numbers: save x.astype(np.float32)"),
        (FLAT.astype(complex), Y, "array 'x': the type is complex128"),
        (FLAT.astype(str), Y, "array 'x': the type is <U3"),
        (FLAT.astype("M8[s]"), Y, "array 'x': the type is datetime64[s]"),
        (np.zeros(300, [("a", "f4"), ("b", "f4")]), Y, "array 'x': the type is"),
        (np.zeros(300, [("größe", "f4")]), Y, "array 'x'"),
        (np.asfortranarray(FLAT), Y, "array 'x': it is in Fortran order, but rows must follow each other"),
        (FLAT[:, 0], Y, "x has shape (300,), but must be (rows, features...); save x[:, None]"),
        (FLAT[0, 0], Y, "x has shape ()"),
        (FLAT[:200], Y, "200 rows of features"),
        (FLAT[:0], Y[:0], "there must be at least one row"),
        (FLAT[:, :0], Y, "there must be at least one row and one feature"),
        (FLAT, Y[:, None], "y has shape (300, 1), but must be (rows,)"),
        (
            FLAT,
            Y.astype(float),
            "array 'y': the type is float64, but must be integers 0, 1, ...: save y.astype(np.int64)",
        ),
        (FLAT, Y.astype(str), "array 'y': the type is <U21"),
        (FLAT, Y - 1, "label -1 of row 0 ({}) must be in 0..16777215"),
        (FLAT, np.r_[Y[:299], 2**40], "label 1099511627776 of row 299"),
        (FLAT, np.r_[Y[:299], 2**31 - 1], "label 2147483647 of row 299"),
        (FLAT, np.r_[Y[:299].astype(np.uint64), np.uint64(2**64 - 1)], "label 18446744073709551615 of row 299"),
    ],
)
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_bad_arrays(tmp_path, form, x, y, message):
    """Arrays of types, orders and shapes that are no rows of numbers with labels are refused."""
    storage = open_storage(tmp_path)
    write(storage, {"x.npy": npy(x), "y.npy": npy(y), "data.npz": npz(x=x, y=y)})
    spec, labels = (f"npy:{tmp_path}", "y.npy") if form == "npy" else (f"npz:{tmp_path}/data.npz", "data.npz")
    assert message.format(tmp_path / labels) in refusal(spec)


@pytest.mark.parametrize(("classes", "ok"), [(9, False), (10, True), (1, False)])
def test_labels_out_of_range(folder, classes, ok):
    """A label that is not below the given number of classes is refused, with its row."""
    write(folder, {"x.npy": npy(X), "y.npy": npy(np.sort(Y))})
    if ok:
        assert open_dataset(folder.url, classes).classes == classes
    else:
        row = int(np.searchsorted(np.sort(Y), classes))
        message = (
            f"label {classes} of row {row} ({folder.url}/y.npy) must be in 0..{classes - 1} (classes is {classes})"
        )
        assert message in refusal(folder.url, classes=classes)


def test_late_label_out_of_range(tmp_path):
    """Labels are checked to the last one, also those of more than one chunk."""
    y = np.zeros(300_000, np.int64)
    y[-1] = 7
    write(open_storage(tmp_path), {"x.npy": npy(y[:, None]), "y.npy": npy(y)})
    assert "label 7 of row 299999" in refusal(str(tmp_path), classes=5)
    assert open_dataset(str(tmp_path)).classes == 8


def header(shape: str) -> bytes:
    """Return a .npy file without data whose header has any text as its shape."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (npy(X)[:-1], "its header says shape (300, 7, 5) of uint8, 10628 bytes in all, but there are 10627"),
        (npy(X) + b"0", "10628 bytes in all, but there are 10629"),
        (npy(X)[:50], "truncated, or no .npy array"),
        (b"", "truncated, or no .npy array"),
        (b"\x93NUMPY\x09\x00" + npy(X)[8:], "truncated, or no .npy array"),
        (npy(X).replace(b"'descr'", b"'what!'"), "truncated, or no .npy array"),
        (idx(X), "truncated, or no .npy array"),
        (npz(x=X), "truncated, or no .npy array"),
        (npy(X).replace(b"'shape': (", b"'shape': ((", 1), "truncated, or no .npy array (TokenError"),
        (npy(X).replace(b"(300, 7, 5)", b"(300,-7,-5)"), "truncated, or no .npy array"),
        (header("(3, -1, -2)"), "no shape of an array: 3 dimensions, (3, -1, -2)"),
        (header(f"({'1,' * 72})"), "no shape of an array: 72 dimensions"),
        (header("(True, True)"), "no shape of an array: 2 dimensions"),
        (header("-" * 9000 + "1"), "truncated, or no .npy array"),
        (header("{[]: 1}"), "truncated, or no .npy array (TypeError"),
    ],
)
def test_bad_npy_file(folder, x, message):
    """A file that is no .npy array, or a truncated one, is refused."""
    write(folder, {"x.npy": x, "y.npy": npy(Y)})
    assert f"{folder.url}/x.npy, array 'x': " in (error := refusal(folder.url))
    assert message in error


GOOD = npz(x=X, y=Y)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npz(np.savez_compressed, x=X, y=Y), "array 'x' is compressed; write it with np.savez instead of"),
        (npz(x=X, labels=Y), "there is no array 'y', only ['labels', 'x']; use np.savez(f, x=x, y=y)"),
        (GOOD[:-1], "truncated, or no .npz file"),
        (GOOD[:5000], "truncated, or no .npz file"),
        (b"", "truncated, or no .npz file"),
        (npy(X), "truncated, or no .npz file"),
        (GOOD[100:], "damaged or truncated before the array 'x'"),
    ],
)
def test_bad_npz_file(folder, data, message):
    """A file that is no uncompressed .npz archive of x and y is refused."""
    write(folder, {"data.npz": data})
    error = refusal(f"npz:{folder.url}/data.npz")
    assert f"{folder.url}/data.npz" in error
    assert message in error


@pytest.mark.parametrize("packed", [False, True])
def test_bounded_memory(tmp_path, packed):
    """Opening and reading cost the bytes that are asked for and a few buffers, however large the files are."""
    storage = open_storage(tmp_path)
    x, y = idx(np.zeros((1024, 256, 256))), idx(np.zeros(1024))
    pack = (lambda data: gzip.compress(data, 1)) if packed else bytes
    write(storage, {IMAGES + ".gz" * packed: pack(x), LABELS: y})
    del x
    tracemalloc.start()
    dataset = open_dataset(f"idx:{tmp_path}")
    block, _ = dataset.read(500, 516)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert block.nbytes == 2**20
    assert peak < 12 * 2**20
