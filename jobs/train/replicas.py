"""Replicas of one Keras model on the workers of a cluster, for a loop of one's own or for averaging."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from jobs.errors import DataError, InputError
from jobs.train.data.rows import ArrayRows
from jobs.train.group.trainer import ClusterTrainer
from jobs.train.replica.names import check_arrays
from jobs.usercode import UserCode

Weights = dict[str, NDArray[Any]]


class Replicas:
    """A model that is built once in each worker process of a cluster, also in those that join later.

    Args:
        client: a synchronous client.
        create_model: a function without arguments that returns a compiled keras.Model, or `module:function`.
        seed: of the initial weights, which are the same in every run.

    Raises:
        InputError: create_model returns something that cannot be trained.
        UserCodeError: it raised.
        ClusterError: there is no worker.
    """

    def __init__(self, client: Client, create_model: Callable[[], Any] | str, *, seed: int = 0) -> None:
        if not isinstance(client, Client):
            raise InputError(f"client is {client!r}, but must be a distributed.Client, such as jobs.connect() gives")
        code = UserCode("create_model", create_model, "my_model:create_model")
        if code.spec is None:
            code.freeze()
        self.seed = seed
        self.trainer = ClusterTrainer(client, code, seed)
        self.started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the workers."""
        self.trainer.close()

    @property
    def workers(self) -> int:
        """How many workers have a replica."""
        return self.trainer.workers

    def _start(self) -> None:
        if not self.started:
            self.trainer.start(None)
            self.started = True

    def get_weights(self) -> Weights:
        """Return name -> array of all weights and statistics, such as `dense/kernel`.

        Raises:
            InputError: the model is not built: it has no input shape, and was not trained yet.
        """
        self._start()
        return self.trainer.weights()

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Set all weights and statistics by name, on every replica.

        Raises:
            InputError: names are missing or unknown, or shapes differ.
        """
        have = {name: array.shape for name, array in self.get_weights().items()}
        self.trainer.set_weights(check_arrays("weights", weights, have))

    def get_flat(self) -> NDArray[Any]:
        """Return all weights and statistics as one vector, in the order of `get_weights`."""
        return np.concatenate([array.ravel() for array in self.get_weights().values()])

    def set_flat(self, vector: Any) -> None:
        """Set all weights and statistics from one vector.

        Raises:
            InputError: it has another length.
        """
        have, flat = self.get_weights(), np.asarray(vector)
        size = sum(array.size for array in have.values())
        if flat.shape != (size,):
            raise InputError(f"flat has shape {flat.shape}, but must be ({size},)")
        pieces = np.split(flat, np.cumsum([array.size for array in have.values()])[:-1])
        shaped = {name: piece.reshape(array.shape) for (name, array), piece in zip(have.items(), pieces, strict=True)}
        self.trainer.set_weights(shaped)

    def map(self, function: Callable[[Any], Any]) -> list[Any]:
        """Return function(model) of each replica, in the order of the workers' addresses.

        Raises:
            UserCodeError: the function raised.
        """
        self._start()
        return self.trainer.on_all(function)

    def gradients(self, x: Any, y: Any, sample_weight: Any = None) -> Weights:
        """Return name -> gradient of the mean loss over rows, in training mode; the model stays as it is.

        Args:
            x: rows of features, (rows, ...).
            y: their labels, (rows, ...).
            sample_weight: (rows,).

        Raises:
            InputError: model and rows do not fit.
            DataError: there are no rows, or not as many of each.
        """
        rows = ArrayRows(*(one for one in (x, y, sample_weight) if one is not None))
        if not rows.rows:
            raise DataError("x and y have no rows")
        self._start()
        return self.trainer.gradients(rows.read(0, rows.rows))

    def apply(self, gradients: Mapping[str, Any]) -> None:
        """Take the optimizer's step by gradients, one array per trainable variable, on every replica.

        Raises:
            InputError: names are missing or unknown, or shapes differ.
        """
        self._start()
        self.trainer.apply_gradients(gradients)

    def to_model(self) -> Any:
        """Return a keras.Model in this process, with the replicas' weights."""
        import tempfile
        from pathlib import Path

        from jobs.keras.model_file import MODEL
        from jobs.keras.runtime import import_tensorflow
        from jobs.train.process.export import as_keras_file

        self._start()
        _, keras = import_tensorflow()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / MODEL
            path.write_bytes(self.trainer.on_one(as_keras_file))
            return keras.models.load_model(path)
