"""From a spec, such as `idx:/data/mnist`, to a checked data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from jobs.datasets.arrays import open_npy, open_npz
from jobs.datasets.dataset import MAX_CLASSES, TARGETS, UNLABELLED, Dataset
from jobs.datasets.digits import open_digits
from jobs.datasets.idx import find_idx, open_idx
from jobs.datasets.tables.columns import Columns, Wanted
from jobs.datasets.tables.files import SUFFIXES, has_files
from jobs.datasets.tables.open import check_untabular, open_table
from jobs.datasets.tables.table import Table
from jobs.errors import DataError, InputError, nearest
from jobs.storage import open_storage

_READERS = {"idx": open_idx, "npz": open_npz, "npy": open_npy}
_FORMS = (
    "'digits', 'idx:FOLDER', 'npz:FILE.npz', 'npy:FOLDER', 'parquet:PATH', 'csv:PATH', or a path or s3://bucket/prefix "
    "of one of these"
)
AnyDataset: TypeAlias = Dataset | Table


def open_dataset(
    spec: str,
    classes: int | None = None,
    *,
    label: str | None = None,
    features: Sequence[str] | None = None,
    weight: str | None = None,
    targets: bool = False,
    unlabelled: bool = False,
    columns: Columns | None = None,
) -> AnyDataset:
    """Find the data set `spec` and check it, in bounded memory; on the driver, before any work begins.

    Args:
        spec: `digits`; `idx:FOLDER` or `idx:FOLDER/PREFIX` (IDX files, plain or .gz); `npz:FILE.npz` (arrays x and y by
            np.savez); `npy:FOLDER` (x.npy and y.npy); `parquet:PATH` or `csv:PATH`, a file or a folder of such files;
            or the bare path, whose kind is detected. Paths may be `s3://bucket/prefix`.
        classes: the labels must be 0..classes-1; None takes the largest label + 1, of a table its different values.
        label: of a table: the column to predict.
        features: of a table: the columns of x, one or several; None: all but label and weight.
        weight: of a table: the column of the rows' weights; then `read` returns (x, y, w).
        targets: y may be any numbers, (rows, ...), such as those of a regression, or one-hot; `classes` is not read.
        unlabelled: as `targets`, and y may be missing: then it is (rows, 0).
        columns: the `columns` of another table, by which this one is mapped to numbers; then no names are given.

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
    chosen = features if features is None else (features,) if isinstance(features, str) else tuple(features)
    wanted = Wanted(label, chosen, weight)
    try:
        kind, path = _kind(spec)
        if kind in SUFFIXES:
            return open_table(kind, path, spec, classes, wanted, columns=columns)
        check_untabular(wanted, spec)
        return open_digits(classes) if kind == "digits" else _READERS[kind](path, spec, classes)
    except FileNotFoundError as error:
        raise DataError(f"data set {spec!r}: {error.filename} does not exist; check the path") from error


def _kind(spec: str) -> tuple[str, str]:
    """Return the kind of a data set and its path, as they are given, or as they are found."""
    kind, colon, path = spec.partition(":")
    if colon and (kind in _READERS or kind in SUFFIXES):
        return kind, path
    return ("digits", "") if spec == "digits" else (_detect(spec), spec)


def is_table(spec: str) -> bool:
    """Return whether a spec names files with named columns."""
    return _kind(spec)[0] in SUFFIXES


def _detect(path: str) -> str:
    """Return the kind of the data set at a bare path, from the names that are there."""
    kind = re.match(r"([A-Za-z0-9]+):", path)
    if path and (kind is None or kind[1] == "s3"):
        if path.endswith(".npz"):
            return "npz"
        for form, suffixes in SUFFIXES.items():
            if path.lower().endswith(suffixes):
                return form
        storage = open_storage(path)
        if storage.exists("x.npy") or storage.exists("y.npy"):
            return "npy"
        if find_idx(path, "images"):
            return "idx"
        if (found := has_files(path)) is not None:
            return found
    near = nearest(kind[1] if kind else path, ["digits", *_READERS, *SUFFIXES])
    raise InputError(f"data set {path!r}: not found, or of no known form; give {_FORMS}{near}")
