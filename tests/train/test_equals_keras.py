"""Gradient averaging is what plain Keras computes on the same rows in the same order."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from serial_runs import bits, plan_of, trained, training

from jobs.train.exchange.group import alone
from jobs.train.process.training import Training

STEPS = 50


def _in_order(made: Training, data: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Return the rows of the steps as plain Keras shall have them: step by step, part by part."""
    order = made._ahead.batches.order
    rows = np.concatenate([order.at(step, part) for step in range(STEPS) for part in range(order.parts)])
    return [array[rows] for array in data]


@pytest.mark.parametrize(
    ("create_model", "most"),
    [(networks.dense, 1e-5), (networks.adam, 1e-4), (networks.double, 1e-10), (networks.double_adam, 1e-10)],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_fifty_steps(create_model, most, weighted):
    """Variable by variable, the norm of the difference over the norm; regularizers and sample weights count alike."""
    x, y = networks.rows()
    data = (x, y, np.linspace(0.1, 2, len(x), dtype=np.float32)) if weighted else (x, y)
    ours = trained(create_model, plan_of(data), STEPS)
    plain = training(create_model, plan_of(data))
    model = plain.replica.model
    x, y, *weight = _in_order(plain, data)
    model.fit(x, y, sample_weight=weight[0] if weight else None, batch_size=48, shuffle=False, verbose=0)
    for mine, theirs in zip(ours.replica.model.trainable_variables, model.trainable_variables, strict=True):
        difference = np.linalg.norm(mine.numpy() - theirs.numpy()) / np.linalg.norm(theirs.numpy())
        assert difference < most


def test_moving_averages_of_the_weights():
    """The result has them, as Keras's has after `fit`, and the run goes on from the weights themselves."""
    data = networks.rows()
    ours, plain = trained(networks.averaging, plan_of(data), STEPS), training(networks.averaging, plan_of(data))
    before, model = ours.replica.weights(), plain.replica.model
    model.fit(*_in_order(plain, data), batch_size=48, shuffle=False, verbose=0)
    with ours.replica.ended():
        for mine, theirs in zip(ours.replica.model.trainable_variables, model.trainable_variables, strict=True):
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    assert all(np.array_equal(array, before[name]) for name, array in ours.replica.weights().items())


@pytest.mark.parametrize("every", [0, 5])
def test_frozen_layers_stay_as_they_are(every):
    """Bit for bit, though the mean of equal numbers over parts of 7 rows is not always that; nor do they travel."""
    made = training(networks.frozen_base, plan_of(networks.data, batch_size=56, every=every))
    before = made.replica.weights()
    made.run(alone(8, made.form), STEPS)
    same = {name: np.array_equal(array, before[name]) for name, array in made.replica.weights().items()}
    assert same == {"dense/kernel": True, "dense/bias": True, "dense_1/kernel": False, "dense_1/bias": False}
    assert made.replica.model.optimizer.learning_rate.numpy() == np.float32(0.01)
    assert made.strategy.layout.size == (50 * 3 + 3) + (2 + 2)  # loss, rows, and the mean that Keras keeps of the loss


def test_metrics_and_loss_are_those_of_keras():
    """An epoch's loss and metrics, merged over parts, are those of Keras's own evaluation."""
    data = networks.rows()
    made = training(networks.odd, plan_of(data, validation=0.2))
    held = np.concatenate([made._ahead.batches.order.held(part) for part in range(8)])
    wanted = made.replica.model.evaluate(data[0][held], data[1][held], verbose=0, return_dict=True)
    logs = made.logs(sum(made.evaluate(range(8)).values()))
    assert logs == pytest.approx(wanted, rel=1e-5)
    assert set(logs) == {"loss", "accuracy", "top2"}


def test_a_part_is_the_batch_with_batch_normalization():
    """With one part, statistics are those of the whole batch: plain Keras once more, moving averages too."""
    data = networks.rows()

    def create_model():
        import keras

        made = [keras.Input((6,)), keras.layers.BatchNormalization(), keras.layers.Dense(3, activation="softmax")]
        model = keras.Sequential(made)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return model

    ours = trained(create_model, plan_of(data, parts=1), STEPS)
    plain = training(create_model, plan_of(data, parts=1))
    x, y = _in_order(plain, data)
    plain.replica.model.fit(x, y, batch_size=48, shuffle=False, verbose=0)
    for mine, theirs in zip(ours.replica.model.variables, plain.replica.model.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)


def test_averaging_parameters_each_step_is_averaging_gradients_for_sgd():
    """With K = 1, plain SGD, and parts of equal size."""

    def create_model():
        import keras

        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return model

    gradient = trained(create_model, plan_of(networks.rows()), 30)
    parameters = trained(create_model, plan_of(networks.rows(), every=1), 30)
    for one, other in zip(gradient.replica.weights().values(), parameters.replica.weights().values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_nothing_is_traced_again():
    """Over 1,000 steps, epochs with short batches, evaluations and set weights, each function is traced once."""
    made = trained(networks.odd, plan_of(networks.rows(100), validation=0.1, parts=2, batch_size=8), 1000)
    made.replica.set_weights(made.replica.weights())
    made.evaluate(range(2))
    assert made.strategy.traces == 2
    assert made.evaluation.traces == 1


def test_two_models_of_one_process_do_not_clash():
    """They have the same names and start, and train apart."""
    plan = plan_of(networks.rows())
    first, second = training(networks.odd, plan), training(networks.odd, plan)
    assert list(first.replica.variables) == list(second.replica.variables)
    assert bits(first.replica.model) == bits(second.replica.model)
    again = trained(networks.odd, plan, 20)
    assert bits(second.replica.model) != bits(again.replica.model)


@pytest.mark.parametrize("y", [networks.rows()[0][:, :3], np.eye(3, dtype=np.float32)[networks.rows()[1]]])
def test_targets_in_a_file(y, tmp_path):
    """Of a regression, or one-hot: the bits of training on the same arrays."""
    x = networks.rows()[0]
    np.savez(tmp_path / "data.npz", x=x, y=y)
    made = [trained(networks.regression, plan_of(data), 3) for data in (f"npz:{tmp_path}/data.npz", (x, y))]
    assert bits(made[0].replica.model) == bits(made[1].replica.model)
