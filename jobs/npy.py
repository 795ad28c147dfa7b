"""NumPy's .npy and .npz of files that may be damaged, or another's: all that is wrong is a ValueError, no code runs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from jobs.formatting import error_line

MAX_DIMENSIONS = 32
"""More than an array of this program has; NumPy takes 64."""


def read_array(content: bytes) -> NDArray[Any]:
    """Return the array of a .npy file.

    Raises:
        ValueError: it is none, or damaged.
    """
    try:
        # The default, said aloud: the file may be another person's, and a pickle in it would run code.
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy's parser of headers raises TokenError, MemoryError and others
        raise ValueError(error_line(error)) from error
    if not isinstance(array, np.ndarray):
        raise ValueError("several arrays, as of a .npz file")  # noqa: TRY004  of a file's content
    return array


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz file by their names.

    Raises:
        ValueError: it is none, or damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:
        raise ValueError(error_line(error)) from error


def read_header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, Fortran order, type and length in bytes of the .npy header at the beginning of `data`.

    Formats 1.0 and 2.0, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>; 3.0 has named fields.

    Raises:
        ValueError: there is none.
    """
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(stream)
    except Exception as error:
        raise ValueError(error_line(error)) from error
    # NumPy checks that they are integers only: two negative ones have a product like any other.
    if len(shape) > MAX_DIMENSIONS or any(isinstance(size, bool) or not 0 <= size < 2**63 for size in shape):
        raise ValueError(f"no shape of an array: {len(shape)} dimensions, {shape[:MAX_DIMENSIONS]}")
    return shape, fortran_order, dtype, stream.tell()
