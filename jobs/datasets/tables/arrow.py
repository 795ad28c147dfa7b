"""PyArrow, an extra: imported where a table is opened or read, its errors as one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jobs.errors import DataError, InputError, JobError
from jobs.formatting import given, one_line


def import_arrow() -> Any:
    """Return `pyarrow`, with `pyarrow.compute`, `pyarrow.csv` and `pyarrow.parquet` imported.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"PyArrow is needed for Parquet and CSV ({error}): pip install '.[tables]'") from error
    return pa


@contextlib.contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Translate what PyArrow raises for a damaged file.

    Args:
        what: the file, or its part, for the message.

    Raises:
        DataError: it is damaged.
    """
    try:
        yield
    except (JobError, FileNotFoundError):
        raise
    # What Arrow raises for bytes that are no such file is of many kinds: ArrowInvalid, OSError, OverflowError, ...
    except Exception as error:
        text = given(one_line(error))
        raise DataError(f"{what}: damaged, or of no form that is read here ({text}); write it again") from error
