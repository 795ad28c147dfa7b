"""The shipped models' names and limits: options are parsed by them before NumPy is loaded."""

from __future__ import annotations

from typing import Literal

ModelName = Literal["softmax", "logistic", "poisson", "squared"]
MAX_SEED = 2**32
"""Seeds of held-out rows are below."""
