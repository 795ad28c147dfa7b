"""JSON for files of a run folder: NumPy's numbers as Python's; NaN and infinity, which JSON lacks, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def as_json(content: Any) -> bytes:
    """Return JSON for files, indented."""
    return (json.dumps(to_json(content), indent=2, allow_nan=False) + "\n").encode()


def to_json(value: Any) -> Any:
    """Return a value in JSON's types."""
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value
