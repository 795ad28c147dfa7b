"""TensorFlow's start in a process: late import, number of threads, GPU memory growth."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from jobs.errors import InputError

log = logging.getLogger(__name__)
_loading = threading.Lock()
BANNERS = (b"All log messages before absl::InitializeLog()", b"oneDNN custom operations are on")
"""What TensorFlow writes in each process, whatever its log level is, and what nobody can act on."""


def import_tensorflow(threads: int = 1) -> tuple[Any, Any]:
    """Import TensorFlow (3 to 8 s in a fresh process) on one thread, and return the modules (tensorflow, keras).

    One intra-op thread makes the bits of an operation independent of the number of cores. A negative number of
    inter-op threads runs every operation on the calling thread (TensorFlow's config.proto): a pool of one would make a
    worker's threads wait for each other.

    GPU memory, if any, is allocated as it is needed: by default the first process takes all of it.

    Args:
        threads: intra-op threads of the process; more than one gives up equal bits. The first call decides.

    Raises:
        InputError: TensorFlow or Keras is missing, or Keras runs on another backend.
    """
    try:
        load()
        tf: Any = importlib.import_module("tensorflow")
        keras: Any = importlib.import_module("keras")
    except ImportError as error:
        raise InputError(f"TensorFlow is needed here ({error}): pip install '.[tensorflow]'") from error
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras runs on the {keras.backend.backend()!r} backend, but must run on 'tensorflow': "
            "set KERAS_BACKEND=tensorflow before anything imports keras"
        )
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        # TensorFlow raises once its first operation has run: then its thread pools exist.
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(-1)
        except RuntimeError:
            log.warning("TensorFlow was used before and keeps its threads: last bits may differ from those of workers")
    _grow_gpu_memory(tf)
    return tf, keras


def load() -> None:
    """Import TensorFlow and Keras, if they are not yet, without TensorFlow's banners.

    Raises:
        ImportError: one is missing.
    """
    # One thread at a time, and only where there is something to import: two that exchange the descriptor at once would
    # leave it with the other's file for ever.
    with _loading:
        if not {"tensorflow", "keras"} <= sys.modules.keys():
            with _without_banners():
                importlib.import_module("tensorflow")
                importlib.import_module("keras")


@contextlib.contextmanager
def _without_banners() -> Iterator[None]:
    """Leave TensorFlow's banners out of what is written to standard error meanwhile, by its libraries too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Its C++ writes to the descriptor. A file, not a pipe, which could fill, with nobody who reads it.
    with tempfile.TemporaryFile() as file:
        standard_error = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            file.seek(0)
            kept = [line for line in file if not any(banner in line for banner in BANNERS)]
            if kept:
                os.write(2, b"".join(kept))


@functools.cache
def _grow_gpu_memory(tf: Any) -> None:
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            log.warning("TensorFlow was used before, and may hold all memory of %s", gpu.name)
