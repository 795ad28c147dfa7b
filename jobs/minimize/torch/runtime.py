"""PyTorch in a process that computes blocks: imported late, on one thread."""

from __future__ import annotations

import importlib
from typing import Any

from jobs.errors import InputError


def import_torch() -> Any:
    """Import PyTorch (2 to 3 s in a fresh process) on one thread, and return it.

    One thread for an operation makes its bits independent of the number of cores; blocks are computed side by side.

    Raises:
        InputError: it is missing.
    """
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise InputError(f"PyTorch is needed here ({error}): pip install '.[torch]'") from error
    torch.set_num_threads(1)
    return torch
