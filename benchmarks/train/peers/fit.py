"""Plain Keras `fit` in a worker's process."""

from __future__ import annotations

import functools
import time
from typing import Any

from benchmarks.train.peers import networks
from benchmarks.train.peers.networks import BATCH
from jobs.keras.runtime import import_tensorflow


@functools.cache
def _made(network: str) -> tuple[Any, Any, Any]:
    import_tensorflow(1)
    return getattr(networks, network)(), *networks.rows()


def fit(network: str, steps: int, batch: int = BATCH) -> float:
    """Return the seconds of an epoch of so many steps."""
    model, x, y = _made(network)
    count = steps * batch
    began = time.perf_counter()
    model.fit(x[:count], y[:count], batch_size=batch, epochs=1, shuffle=False, verbose=0)
    return time.perf_counter() - began
