"""From a spec, such as `idx:/data/mnist`, to a checked data set."""

from __future__ import annotations

import re

from jobs.datasets.arrays import open_npy, open_npz
from jobs.datasets.dataset import MAX_CLASSES, TARGETS, UNLABELLED, Dataset
from jobs.datasets.digits import open_digits
from jobs.datasets.idx import find_idx, open_idx
from jobs.errors import DataError, InputError, nearest
from jobs.storage import open_storage

_READERS = {"idx": open_idx, "npz": open_npz, "npy": open_npy}
_FORMS = "'digits', 'idx:FOLDER', 'npz:FILE.npz', 'npy:FOLDER', or a path or s3://bucket/prefix of one of these"


def open_dataset(spec: str, classes: int | None = None, *, targets: bool = False, unlabelled: bool = False) -> Dataset:
    """Find the data set `spec` and check it, in bounded memory; on the driver, before any work begins.

    Args:
        spec: `digits`; `idx:FOLDER` or `idx:FOLDER/PREFIX` (IDX files, plain or .gz); `npz:FILE.npz` (arrays x and y by
            np.savez); `npy:FOLDER` (x.npy and y.npy); or the bare path, whose kind is detected. Paths may be
            `s3://bucket/prefix`.
        classes: the labels must be 0..classes-1; None takes the largest label + 1.
        targets: y may be any numbers, (rows, ...), such as those of a regression, or one-hot; `classes` is not read.
        unlabelled: as `targets`, and y may be missing: then it is (rows, 0).

    Raises:
        InputError: `spec` has no known form, or no data set of that form is there.
        DataError: the data are truncated, damaged, of the wrong type or shape, or labels are out of range.
        ClusterError: the storage cannot be reached.
    """
    if classes is not None and classes < 1:
        raise InputError(f"classes is {classes}, but must be at least 1")
    if classes is not None and classes > MAX_CLASSES:
        raise InputError(f"classes is {classes}, but must be at most {MAX_CLASSES:,}")
    if targets or unlabelled:
        classes = UNLABELLED if unlabelled else TARGETS
    if spec == "digits":
        return open_digits(classes)
    kind, colon, path = spec.partition(":")
    try:
        if colon and kind in _READERS:
            return _READERS[kind](path, spec, classes)
        return _READERS[_detect(spec)](spec, spec, classes)
    except FileNotFoundError as error:
        raise DataError(f"data set {spec!r}: {error.filename} does not exist; check the path") from error


def _detect(path: str) -> str:
    """Return the kind of the data set at a bare path, from the names that are there."""
    kind = re.match(r"([A-Za-z0-9]+):", path)
    if path and (kind is None or kind[1] == "s3"):
        if path.endswith(".npz"):
            return "npz"
        storage = open_storage(path)
        if storage.exists("x.npy") or storage.exists("y.npy"):
            return "npy"
        if find_idx(path, "images"):
            return "idx"
    near = nearest(kind[1] if kind else path, ["digits", *_READERS])
    raise InputError(f"data set {path!r}: not found, or of no known form; give {_FORMS}{near}")
