"""What decides the bits of a process's arithmetic: libraries, threads, processor."""

from __future__ import annotations

import os

from jobs.arithmetic import arithmetic
from jobs.errors import InputError
from jobs.keras.runtime import import_tensorflow


def fingerprint(threads: int) -> dict[str, str]:
    """Return name -> value of what decides the bits.

    Args:
        threads: intra-op threads of the process.
    """
    tf, _ = import_tensorflow(threads)
    return {
        **arithmetic(),
        "threads": str(threads),
        "oneDNN options": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "GPUs": ", ".join(_gpus(tf)),
    }


def _gpus(tf: object) -> list[str]:
    config = tf.config  # type: ignore[attr-defined]
    return [
        str(config.experimental.get_device_details(gpu).get("device_name", "unknown"))
        for gpu in config.list_physical_devices("GPU")
    ]


def check_gpus(address: str, promised: float, threads: int) -> None:
    """Check that TensorFlow sees the GPUs that a worker declares, as Dask's resource `GPU`.

    Raises:
        InputError: it does not.
    """
    if not promised:
        return
    tf, _ = import_tensorflow(threads)
    if len(seen := _gpus(tf)) < promised:
        raise InputError(
            f"worker {address} was promised {promised:g} GPUs, but TensorFlow sees {len(seen)}: give it the image with "
            "TensorFlow for GPUs, and a node whose driver fits"
        )
