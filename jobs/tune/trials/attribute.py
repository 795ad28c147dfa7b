"""User attributes of a trial: which names and values there may be, as they are sent and recorded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from jobs.formatting import given
from jobs.tune.records.outcome import RESERVED
from jobs.tune.trials.messages import Attribute

MAX_NAME, MAX_VALUE = 200, 100_000
"""Maximum characters of a name, and of a value as JSON: both are in the journal and the tables."""


def attribute(name: Any, value: Any) -> Attribute:
    """Return an attribute as it is sent.

    Raises:
        TypeError: the name is not a text, or JSON cannot hold the value.
        ValueError: the name is reserved, or one of them is too long.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"trial.set_user_attr: the key is {given(name)}, but must be a text that is not empty")
    if name in RESERVED:
        raise ValueError(f"trial.set_user_attr: the key {name!r} is one of dask-jobs's own; take another name")
    value = value.item() if isinstance(value, np.generic) else value
    try:
        text = json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"trial.set_user_attr: {name} must be what JSON can hold, a number, a text, a list, ...: {error}"
        ) from error
    if len(name) > MAX_NAME or len(text) > MAX_VALUE:
        raise ValueError(
            f"trial.set_user_attr: {given(name)} has {len(text):,} characters as JSON, but must have at most "
            f"{MAX_VALUE:,}, and its name {MAX_NAME}; keep large things in trial.checkpoint"
        )
    return Attribute(kind="attribute", name=name, value=text)
