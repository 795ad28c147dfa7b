"""The trained model as files: a Keras file, and the weights by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from jobs.errors import ClusterError
from jobs.formatting import error_line
from jobs.keras.model_file import MODEL
from jobs.train.process.messages import Exported
from jobs.train.replica.model import ReplicaModel

WEIGHTS = "weights.npz"
PREFIX = "dask-jobs-"


def export(replica: ReplicaModel, store: Callable[[Path], object]) -> Exported:
    """Write weights and model, one after the other, to files that `store` takes; what it leaves is deleted.

    Raises:
        ClusterError: there is no space for them.
    """
    try:
        with replica.ended(), TemporaryDirectory(prefix=PREFIX) as folder:
            weights: dict[str, Any] = {**replica.weights()}
            path = Path(folder, WEIGHTS)
            np.savez(path, **weights)
            store(path)
            path.unlink(missing_ok=True)  # `store` may have moved it
            path = Path(folder, MODEL)
            # After the weights: one file at a time needs scratch space.
            replica.model.save(path)
            store(path)
    except OSError as error:
        raise ClusterError(
            f"the model cannot be written to a temporary file ({error_line(error)}); make space there, or name another "
            "folder by TMPDIR, and give the same command again"
        ) from error
    return {"parameters": sum(int(array.size) for array in weights.values())}


def as_keras_file(model: Any) -> bytes:
    """Return a model as the bytes of a .keras file; called where the replica is."""
    with TemporaryDirectory(prefix=PREFIX) as folder:
        path = Path(folder, MODEL)
        model.save(path)
        return path.read_bytes()
