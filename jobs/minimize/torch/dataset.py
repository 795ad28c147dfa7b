"""A torch Dataset, made by a function in each process, as a source of rows."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.errors import DataError, InputError
from jobs.formatting import error_first_line
from jobs.usercode import UserCode, call, is_interrupt


class DatasetRows:
    """Rows of a map-style `torch.utils.data.Dataset`, whose items are pairs (x, y) of tensors, arrays or numbers.

    Args:
        factory: a function without arguments that returns it, called once in each process: it is what is sent.

    Raises:
        InputError: it returned something else, or one without rows.
        UserCodeError: it raised.
    """

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._code = UserCode("data", factory, "my_data:dataset")
        self.rows = int(call("data's len()", len, self._dataset))
        if self.rows < 1:
            raise InputError("data's Dataset is empty, but must have one row at least")

    @functools.cached_property
    def _dataset(self) -> Any:
        dataset = call("data", self._code.load())
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise InputError(
                f"data returned {type(dataset).__name__}, but must return a Dataset with __len__ and __getitem__"
            )
        return dataset

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_dataset"}

    def read(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows start .. stop - 1, stacked.

        Raises:
            DataError: a row cannot be read, or rows are of different shapes.
        """
        rows = []
        for row in range(start, stop):
            try:
                item = self._dataset[row]
                if not (isinstance(item, tuple | list) and len(item) == 2):
                    raise TypeError(f"it is {type(item).__name__}")  # noqa: TRY301
                rows.append((_array(item[0]), _array(item[1])))
            except BaseException as error:
                if is_interrupt(error):
                    raise
                raise DataError(
                    f"row {row:,} of data's Dataset is no pair (x, y): {error_first_line(error)}"
                ) from error
        try:
            return np.stack([x for x, _ in rows]), np.stack([y for _, y in rows])
        except ValueError as error:
            raise DataError(
                f"rows {start:,} to {stop - 1:,} of data's Dataset have different shapes ({error})"
            ) from error

    def fingerprint(self) -> str:
        """Return the Dataset's own `fingerprint()`, or a digest of the first and the last row and their number."""
        if hasattr(self._dataset, "fingerprint"):
            return str(call("data's fingerprint()", self._dataset.fingerprint))
        digest = hashlib.blake2b(str(self.rows).encode(), digest_size=16)
        for row in (0, self.rows - 1):
            for part in self.read(row, row + 1):
                digest.update(part.tobytes())
        return digest.hexdigest()


def check_no_dataset(data: Any) -> None:
    """Check that data are not a Dataset itself.

    Raises:
        InputError: they are.
    """
    if isinstance(data, torch.utils.data.Dataset) and not hasattr(data, "read"):
        raise InputError(
            f"data is a {type(data).__name__}, a Dataset, but must be the function or class that makes it, since each "
            "process makes its own"
        )


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"it has {array.dtype}, but must have real numbers")
    return array
