"""The classic structure of training, as Dask tasks: the driver gathers gradients, and gives the weights back."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from benchmarks.alexnet.peers import networks
from jobs.alexnet.network import MOMENTUM
from jobs.keras.runtime import import_tensorflow

Arrays = list[NDArray[np.float32]]
RATE = 0.01


@functools.cache
def _replica(network: str) -> tuple[Any, Callable[[Any, Any], Any], Any, Any]:
    """Return this process's model, the function of its gradients, images and labels."""
    tf, keras = import_tensorflow(1)
    model = getattr(networks, network)()
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    @tf.function(autograph=False)
    def gradients(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        return tape.gradient(loss, [one.value for one in model.trainable_variables])

    return model, gradients, *getattr(networks, f"{network}_images")()


def _weights(network: str) -> Arrays:
    return [one.numpy() for one in _replica(network)[0].trainable_variables]


def _gradients(weights: Arrays, network: str, batch: int, step: int) -> Arrays:
    """Return the gradient of each of the 16 arrays of weights, of this worker's next batch."""
    model, gradients, x, y = _replica(network)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    at = step * batch % len(x)
    return [one.numpy() for one in gradients(x[at : at + batch], y[at : at + batch])]


class Classic:
    """Data-parallel SGD with momentum whose weights the driver has.

    Args:
        client: of a cluster, all of whose workers take part.
        network: a function of `networks`.
        batch: images of each worker in a step.
    """

    def __init__(self, client: Client, network: str, batch: int) -> None:
        self._client, self._network, self._batch, self._step = client, network, batch, 0
        self._addresses = list(client.scheduler_info(n_workers=-1)["workers"])
        self._weights: Arrays = client.submit(_weights, network, pure=False).result()
        self._momenta = [np.zeros_like(one) for one in self._weights]

    def __call__(self, steps: int) -> float:
        """Take so many steps, and return seconds."""
        began = time.monotonic()
        for _ in range(steps):
            self._apply(self._gathered())
            self._step += 1
        return time.monotonic() - began

    def _gathered(self) -> list[Arrays]:
        """Return the gradients of each worker."""
        client = self._client
        futures = []
        for address in self._addresses:
            weights = client.scatter([self._weights], workers=[address], hash=False, direct=True)[0]
            given = (weights, self._network, self._batch, self._step)
            futures.append(client.submit(_gradients, *given, workers=[address], pure=False))
        found: list[Arrays] = client.gather(futures, direct=True)
        return found

    def _apply(self, gradients: list[Arrays]) -> None:
        for weight, momentum, *parts in zip(self._weights, self._momenta, *gradients, strict=True):
            np.multiply(momentum, MOMENTUM, out=momentum)
            np.subtract(momentum, RATE / len(parts) * np.sum(parts, axis=0), out=momentum)
            np.add(weight, momentum, out=weight)
