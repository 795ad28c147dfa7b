"""Replicas from Python: the issue's examples, a loop of one's own, the classic network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networks
import numpy as np
import pytest
from distributed import Client

from jobs.datasets import open_dataset
from jobs.errors import DataError, InputError, UserCodeError
from jobs.train import GradientAveraging, ParameterAveraging, Replicas


def classic() -> Any:
    """The classic example: without an input shape, RMSprop(0.01), one-hot labels."""
    import keras

    layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(64, activation="relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    model.compile(keras.optimizers.RMSprop(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the shipped digits, labels one-hot."""
    x, y = open_dataset("digits").read(0, 1797)
    return x.reshape(-1, 64) / np.float32(16), np.eye(10, dtype=np.float32)[y]


@pytest.fixture(scope="module")
def client(client_of) -> Client:
    return client_of(2)  # type: ignore[no-any-return]


@pytest.fixture
def replicas(client) -> Iterator[Replicas]:
    """Yield replicas of a network with batch normalization."""
    with Replicas(client, networks.odd) as made:
        yield made


def test_the_classic_example(client, digits):
    """It trains as it is written; two of its networks in the same processes do not disturb each other."""
    x, y = digits
    with Replicas(client, classic) as first, Replicas(client, classic) as second:
        held_out = (x[1600:], y[1600:])
        history = GradientAveraging(first).fit((x[:1600], y[:1600]), validation_data=held_out, batch_size=64, epochs=4)
        assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
        assert history["val_accuracy"][-1] > 0.85
        again = GradientAveraging(second).fit((x[:1600], y[:1600]), validation_data=held_out, batch_size=64, epochs=4)
        assert again == history
        more = ParameterAveraging(first, every=5).fit((x[:1600], y[:1600]), batch_size=64, epochs=1)
        assert more["loss"][0] < history["loss"][0]
        model = first.to_model()
        assert model.evaluate(*held_out, verbose=0)[1] > 0.85
        for mine, theirs in zip(first.get_weights().values(), model.get_weights(), strict=True):
            assert np.array_equal(mine, theirs)


def test_a_loop_of_ones_own(replicas):
    """Gradients are Keras's mean over the rows, and a step by them is the optimizer's, on every replica."""
    import tensorflow as tf

    x, y = networks.rows(100)
    model = replicas.to_model()
    gradients = replicas.gradients(x, y)
    assert list(gradients) == [name for name in replicas.get_weights() if "moving" not in name]
    before = replicas.get_flat()
    replicas.apply(gradients)
    model.optimizer.apply_gradients(
        [
            (tf.convert_to_tensor(one), variable)
            for one, variable in zip(gradients.values(), model.trainable_variables, strict=True)
        ]
    )
    for mine, theirs in zip(replicas.get_weights().values(), model.trainable_variables, strict=False):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-6)
    flats = replicas.map(lambda made: np.concatenate([one.numpy().ravel() for one in made.trainable_variables]))
    assert np.array_equal(flats[0], flats[1])
    replicas.set_flat(before)
    assert np.array_equal(replicas.get_flat(), before)


def test_gradients_equal_those_of_keras(client):
    """Without random layers and statistics: to rounding, with weights too."""
    import tensorflow as tf

    x, y = networks.rows(100)
    weight = np.linspace(0, 1, 100, dtype=np.float32)
    with Replicas(client, networks.dense) as made:
        model = made.to_model()
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x), weight)
        wanted = tape.gradient(loss, model.trainable_variables)
        made.gradients(x, y.astype(np.int32))  # neither others' types nor that they have no weights is kept
        for mine, theirs in zip(made.gradients(x, y, weight).values(), wanted, strict=True):
            assert np.linalg.norm(mine - theirs) < 1e-5 * np.linalg.norm(theirs)
        with pytest.raises(DataError, match="100, 99 rows"):
            made.gradients(x, y[:-1])
        with pytest.raises(DataError, match="x and y have no rows"):
            made.gradients(x[:0], y[:0])


def test_moving_averages_of_the_weights(client):
    """A fit ends with them, on every replica."""
    with Replicas(client, networks.averaging) as made:
        GradientAveraging(made).fit(networks.rows(), batch_size=48, epochs=1)
        kept = made.map(lambda model: [one.numpy() for one in model.optimizer._model_variables_moving_average])
        for mine, *theirs in zip(made.to_model().trainable_variables, *kept, strict=True):
            assert all(np.array_equal(mine.numpy(), one) for one in theirs)


def test_weights_are_named_and_checked(replicas):
    """Names are paths below the model; what is missing, unknown or of another shape is listed."""
    weights = replicas.get_weights()
    assert {"dense/kernel", "dense/bias", "dense_1/kernel", "batch_normalization/moving_mean"} < weights.keys()
    doubled = {name: 2 * array for name, array in weights.items()}
    replicas.set_weights(doubled)
    for name, array in replicas.get_weights().items():
        assert np.array_equal(array, doubled[name])
    with pytest.raises(InputError, match="weights: dense/kernel is missing"):
        replicas.set_weights({name: array for name, array in weights.items() if name != "dense/kernel"})
    with pytest.raises(InputError, match="flat has shape"):
        replicas.set_flat(np.zeros(3))


def test_errors_of_the_users_code(client, replicas):
    """A factory that raises, a function that raises, an unbuilt model's weights: what it was, in one line."""
    with pytest.raises(UserCodeError, match="create_model raised ValueError: not today"):
        Replicas(client, networks.raises)
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        replicas.map(lambda _: 1 / 0)
    with Replicas(client, classic) as unbuilt, pytest.raises(InputError, match="unbuilt: begin it with keras.Input"):
        unbuilt.get_weights()


def test_callbacks_run_here(replicas):
    """Keras's own end the training, and change the learning rate on every replica."""
    from jobs.keras.runtime import import_tensorflow

    _, keras = import_tensorflow()
    seen, (rate, _) = [], replicas.map(lambda model: float(model.optimizer.learning_rate))
    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["loss"]))),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        keras.callbacks.EarlyStopping(monitor="loss", patience=1, min_delta=100),
    ]
    history = GradientAveraging(replicas).fit(networks.rows(), batch_size=48, epochs=9, callbacks=callbacks)
    assert [loss for _, loss in seen] == history["loss"]
    assert len(seen) == 2
    assert replicas.map(lambda model: float(model.optimizer.learning_rate)) == [pytest.approx(rate / 4)] * 2
