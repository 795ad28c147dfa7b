"""A Ray of two cores on this machine, without a dashboard."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import ray

STORE_BYTES = 1 << 30


@contextlib.contextmanager
def session(store_bytes: int = STORE_BYTES) -> Iterator[None]:
    """Start Ray with an object store of so many bytes, and stop it at the end."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=store_bytes,
    )
    try:
        yield
    finally:
        ray.shutdown()
