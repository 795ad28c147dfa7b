"""TensorFlow's own ways: its collective between processes, and MultiWorkerMirroredStrategy with a custom loop."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.train.peers import networks
from benchmarks.train.peers.member import Work, serve, timed

GROUP = 77
"""A group of our own, beside those of the strategy."""


def strategy_of(rank: int, ports: list[int]) -> Any:
    """Return MultiWorkerMirroredStrategy in this process, whose operations have one thread each."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": rank}})
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    return tf.distribute.MultiWorkerMirroredStrategy()


def trainer(strategy: Any, network: str, batch: int) -> Callable[[int], None]:
    """Return what takes so many steps: gradients of this process's share, their mean, the optimizer's step."""
    import keras
    import tensorflow as tf

    with strategy.scope():
        model = getattr(networks, network)()
    share = batch // strategy.num_replicas_in_sync
    x, y = (tf.convert_to_tensor(one) for one in networks.rows(16 * share))
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    def replica(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        variables = model.trainable_variables
        gradients = tape.gradient(loss, [one.value for one in variables])
        mean = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        model.optimizer.apply_gradients(zip(mean, variables, strict=True))

    @tf.function(autograph=False)
    def step(x: Any, y: Any) -> None:
        strategy.run(replica, args=(x, y))

    def steps(count: int) -> None:
        for number in range(count):
            at = number % 16 * share
            step(x[at : at + share], y[at : at + share])
        model.trainable_variables[-1].numpy()

    return steps


def collective(members: int, size: int) -> Callable[[], Any]:
    """Return what gives the sum over all members of vectors of ones."""
    import tensorflow as tf

    vector = tf.ones(size)

    @tf.function(autograph=False)
    def total(vector: Any) -> Any:
        return tf.raw_ops.CollectiveReduceV2(
            input=vector,
            group_size=members,
            group_key=GROUP,
            instance_key=size,
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
            communication_hint="ring",
            timeout_seconds=60.0,
        )

    return lambda: total(vector)


def make(rank: int, ports: list[int]) -> Work:
    """Return a member's work: sums of a vector, or steps of a network."""
    strategy = strategy_of(rank, ports)
    total_of = functools.cache(functools.partial(collective, len(ports)))
    trainer_of = functools.cache(functools.partial(trainer, strategy))

    def sums(size: int, steps: int) -> None:
        total = total_of(size)
        for _ in range(steps):
            found = total()
        if np.asarray(memoryview(found))[-1] != len(ports):
            raise ArithmeticError("the collective's sum is wrong")

    def work(steps: int, size: int = 0, network: str = "", batch: int = 0) -> dict[str, Any]:
        if size:
            total_of(size)
            return timed(lambda: sums(size, steps))
        return timed(lambda: trainer_of(network, batch)(steps))

    return work


if __name__ == "__main__":
    serve(make)
