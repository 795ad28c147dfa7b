"""Scores: what counts as a number where a function reports or returns one."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any


def number(value: Any, source: str, rule: str, more: str = "") -> float:
    """Return a number of Python, NumPy or another library's array without a dimension as a float.

    Args:
        value: of any type.
        source: where the value came from, for the message, such as `the objective returned`.
        rule: the rule, for the message, such as `return a number`.
        more: the end of the message.

    Raises:
        TypeError: it is not a number: a truth value, a text, complex, an array; or a float cannot hold it.
    """
    if not _is_number(value):
        raise TypeError(f"{source} {shown(value)}, but must {rule}{more}")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise TypeError(f"{source} {shown(value)}, but must {rule} that 64 bits hold{more}") from error


def _is_number(value: Any) -> bool:
    if (kind := getattr(value, "dtype", None)) is not None:
        # By name: libraries have kinds of their own, such as bfloat16.
        return getattr(value, "shape", None) == () and any(name in str(kind) for name in ("int", "float"))
    alike = hasattr(value, "__float__") and getattr(value, "shape", None) == ()
    return alike or (isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool))


def shown(value: Any) -> str:
    """Return a value and its type as one short text."""
    if value is None:
        return "None"
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = "a value that cannot be shown"
    return f"{text if len(text) < 60 else text[:57] + '...'} ({type(value).__name__})"
