"""`RowSource`: the interface of data for jobs, a data set of this package or an object of the user's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from jobs.datasets.open import open_dataset
from jobs.errors import InputError, argument

NEEDED = ("rows", "read")


class RowSource(Protocol):
    """Rows with labels that the workers read. Small when pickled: it holds no data.

    Optional, found by their names:
        names: of the features, texts.
        class_names: of the classes, texts.
        fingerprint() -> str: the identity of the data, in any place; see `identity_of`.
        files() -> paths or s3:// URLs of the files that `read` reads; see `files_of`.
        scale: features times this are about 0..1.
        classes: labels are 0 .. classes - 1.
    """

    @property
    def rows(self) -> int:
        """Number of rows."""

    def read(self, start: int, stop: int) -> tuple[Any, ...]:
        """Return rows start .. stop - 1: x (stop - start, *shape), y (stop - start, ...), and weights if there are."""


def row_source(
    data: Any,
    classes: int | None = None,
    *,
    targets: bool = False,
    columns: Mapping[str, Any] = MappingProxyType({}),
) -> RowSource:
    """Return the source of rows: the data set that a spec names, or the object after checking its interface.

    Args:
        data: what `open_dataset` takes, or an object as `RowSource` describes.
        classes: labels are 0 .. classes - 1; only with a spec.
        targets: y of a spec's files may be any numbers, as of `open_dataset`.
        columns: of a spec's tables: `label`, `features`, `weight` or `columns`, as `open_dataset` takes them.

    Raises:
        InputError: the spec does not name a data set, the object lacks an attribute, or `classes` goes with an object.
        DataError: the data set is damaged.
        ClusterError: its storage cannot be reached.
    """
    if isinstance(data, str):
        return open_dataset(data, classes, targets=targets, **columns)
    if columns:
        name, value = next(iter(columns.items()))
        raise InputError(f"{argument(name)} is {value!r}, but only parquet: and csv: data have it; leave it out")
    if classes is not None:
        raise InputError(f"classes is {classes!r}, but only a data set that is opened here takes it; leave it out")
    for attribute in NEEDED:
        if not hasattr(data, attribute):
            raise InputError(
                f"data is {type(data).__name__}, which has no {attribute!r}: give a dataset's spec, or an object with "
                "rows and read(start, stop) -> (x, y)"
            )
    return data  # type: ignore[no-any-return]  # checked to have what is needed


def identity_of(data: RowSource) -> str:
    """Return the data's fingerprint, or a digest of the first row of data without one."""
    if hasattr(data, "fingerprint"):
        return str(data.fingerprint())
    x, y = data.read(0, 1)
    return hashlib.blake2b(np.asarray(x).tobytes() + np.asarray(y).tobytes()).hexdigest()


def files_of(data: RowSource) -> list[str]:
    """Return the paths or URLs of the files that the rows are read from; empty if the data name none."""
    return list(data.files()) if hasattr(data, "files") else []
