"""A small network for the tests' releases, and data that come slowly as long as an object of a bucket is there."""

import os
import time

import keras
import numpy as np

from jobs.storage import open_storage

STEPS = 50
SECONDS = 0.5
"""How long a batch of a part takes meanwhile."""
HELD = os.environ.get("HELD_BY", "")
"""s3://bucket whose object `hold` makes the data slow, and which then gets `trained/HOST` of each worker; or none."""


def create_model():
    """Return a network with all that could depend on the workers: dropout, batch normalization, Adam's slots."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Batches(keras.utils.PyDataset):
    """One part's batches of an epoch."""

    def __init__(self, numbers):
        super().__init__()
        self._numbers = numbers

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        if HELD and (bucket := open_storage(HELD)).exists("hold"):
            if index:  # the first batch is also read to see what the data are
                bucket.create(f"trained/{os.uname().nodename}", b"")
            time.sleep(SECONDS)
        random = np.random.default_rng([*self._numbers, index])
        x = random.standard_normal((16, 6)).astype(np.float32)
        return x, np.argmax(x[:, :3], axis=1)


def data(part, parts, epoch, seed):
    """Return a part's batches, the same wherever they are made."""
    return Batches((seed, epoch, part, parts))
