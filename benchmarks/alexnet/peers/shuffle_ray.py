"""Ray Data's random_shuffle of images, on two cores, in Ray's own environment."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import ray.data

from benchmarks.alexnet.peers.phases import serve
from benchmarks.peers.ray_session import STORE_BYTES, session

BLOCK = 250
"""Images of a block: a task was seen to take 14 times its block's memory, which is too much with a partition's."""
STORE_COPIES = 3
"""Of the images, for which the object store has room: before the shuffle, within it, and after it."""


def phases(images: int, side: int) -> Generator[dict[str, Any]]:
    """Make the images, and shuffle once."""

    def made(batch: dict[str, Any]) -> dict[str, Any]:
        pixels = np.empty((len(batch["id"]), side, side, 3), np.uint8)
        pixels[:] = (batch["id"] % 256).astype(np.uint8)[:, None, None, None]
        return {"id": batch["id"], "image": pixels}

    with session(max(STORE_BYTES, STORE_COPIES * images * side * side * 3)):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.range(2, override_num_blocks=2).random_shuffle().materialize()  # starts the workers
        yield {}
        blocks = max(images // BLOCK, 1)
        before = ray.data.range(images, override_num_blocks=blocks).map_batches(made, batch_size=None).materialize()
        yield {}
        began = time.perf_counter()
        after = before.random_shuffle(seed=0).materialize()
        seconds = time.perf_counter() - began
        if after.sum("id") != images * (images - 1) // 2:
            raise ArithmeticError("an image was lost or doubled")
        yield {"seconds": seconds}


if __name__ == "__main__":
    serve(phases)
