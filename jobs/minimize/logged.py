"""Restoring x.npy from a logged minimize result, which has theta unless it is long."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from jobs.job import Logged

NOT_FINITE = ("inf", "-inf", "nan")
"""Numbers that are texts in the result, since JSON has none of them."""


def logged(result: Mapping[str, Any]) -> Logged:
    """Return x.npy, with the same bits, or the reason why it cannot be restored from the result.

    Raises:
        ValueError: `result` lacks theta in minimize's form: its size and, unless it is long, its numbers.
    """
    count, theta = result.get("parameters"), result.get("x", [])
    if type(count) is not int or count < 0 or not isinstance(theta, list):
        raise ValueError("no theta")
    if "x" not in result:
        return Logged(missing={"x.npy": f"its {count:,} numbers are too many for the log"})
    if len(theta) != count or not all(number in NOT_FINITE or _is_number(number) for number in theta):
        raise ValueError("not all numbers of theta")
    if not theta:
        return Logged()
    file = io.BytesIO()
    np.save(file, np.array([float(number) for number in theta], dtype=np.float64))
    return Logged(files={"x.npy": file.getvalue()})


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
