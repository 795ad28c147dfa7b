"""What decides the bits of a process's arithmetic: libraries, threads, processor."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from jobs.errors import InputError
from jobs.keras.runtime import import_tensorflow

INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
"""Vector instructions by which oneDNN and Eigen choose their kernels, as Linux names them."""


def fingerprint(threads: int) -> dict[str, str]:
    """Return name -> value of what decides the bits.

    Args:
        threads: intra-op threads of the process.
    """
    tf, keras = import_tensorflow(threads)
    return {
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "threads": str(threads),
        "oneDNN": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        # The variable caps what the processor has.
        "processor": os.environ.get("ONEDNN_MAX_CPU_ISA") or f"{platform.machine()} {_instructions()}".strip(),
        "GPUs": ", ".join(_gpus(tf)),
    }


def _gpus(tf: object) -> list[str]:
    config = tf.config  # type: ignore[attr-defined]
    return [
        str(config.experimental.get_device_details(gpu).get("device_name", "unknown"))
        for gpu in config.list_physical_devices("GPU")
    ]


def _instructions() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "").split()  # ARM's name
    return " ".join(name for name in INSTRUCTIONS if name in flags)


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
