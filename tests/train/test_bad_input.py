"""What a user may give wrong: one line before work begins, with the exit code of whose fault it is."""

from __future__ import annotations

import networks
import numpy as np
import odd_factories
import pytest
from serial_runs import plan_of, trained, training

from jobs.errors import DataError, InputError, UserCodeError, command_line
from jobs.options import parse
from jobs.sources import sources
from jobs.train import Replicas
from jobs.train.data.open import Data, is_function
from jobs.train.loop.callbacks import KerasCallbacks, RemoteModel
from jobs.train.options import Options
from jobs.train.process.plan import Plan


@pytest.mark.parametrize(
    ("create_model", "error", "message"),
    [
        (networks.nothing, InputError, "returned str, but must return a keras.Model"),
        (networks.uncompiled, InputError, "without an optimizer: end it with model.compile"),
        (networks.summed, InputError, "has reduction 'sum', but must be a mean over rows"),
        (networks.frozen, InputError, "no trainable variables: there is nothing to train"),
        (networks.two_inputs, InputError, "has 2 inputs, but must have one"),
        (networks.own_step, InputError, "has a train_step of its own, which would not be called"),
        (networks.raises, UserCodeError, "create_model raised ValueError: not today"),
    ],
)
def test_models(create_model, error, message):
    """A factory that returns no model, one that cannot be trained, one that does not fit, or raises."""
    with pytest.raises(error, match=message):
        training(create_model, plan_of(networks.data))


def test_data_that_do_not_fit_the_model():
    """Rows of another shape, labels of another kind."""
    x, y = networks.rows()
    with pytest.raises(InputError, match="input has shape"):
        training(networks.dense, plan_of((x[:, :4], y)))
    with pytest.raises(InputError, match="model, loss and data do not fit"):
        training(networks.dense, plan_of((x, np.stack([y] * 5, axis=1))))


def test_labels_that_the_model_has_no_class_for():
    """Found before the first step, wherever the row is; the line is TensorFlow's, without its node."""
    x, y = networks.rows()
    for wrong in (3, -1):
        y[-7] = wrong
        message = f"do not fit: Received a label value of {wrong} which is outside the valid range of "
        with pytest.raises(InputError, match=message):
            training(networks.dense, plan_of((x, y)))


def test_a_metric_of_several_values():
    """Found before the first epoch has ended."""
    x, y = networks.rows()
    with pytest.raises(InputError, match="the metric 'f1_score' has 3 values, but must have one"):
        training(networks.metric_per_class, plan_of((x, np.eye(3, dtype=np.float32)[y])))


X, Y = networks.rows()


class Mislabelled:
    """Rows of which one has a label that the model has no class for."""

    rows = 480

    def read(self, start, stop):
        """Return rows start .. stop - 1."""
        return X[start:stop], np.where(np.arange(480) == 100, 7, Y)[start:stop]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((np.where(X > 2, "a", X.astype(object)), Y), DataError, "x of the data is of type object"),
        ((X,), DataError, "give 1 arrays, but must give"),
        ((X, Y, Y, Y), DataError, "give 4 arrays, but must give"),
        ((1.0, 2.0), DataError, "is a single value, but must have rows first"),
        (odd_factories.no_batches, InputError, "made no batches for any part"),
        (odd_factories.features_alone, DataError, "give EagerTensor, but must give"),
        (odd_factories.growing, DataError, "made 2 batches for part 0 of epoch 1, but 1 of epoch 0"),
        (odd_factories.sometimes_weighted, DataError, "some rows of the data have sample weights, and some have none"),
        (Mislabelled(), UserCodeError, "part 1 of step .* raised .* label value"),
    ],
)
def test_data_that_are_no_rows_with_labels(data, error, message):
    """Each said by what is wrong with it, none taken for something else."""
    with pytest.raises(error, match=message):
        trained(networks.dense, plan_of(data), 11)


@pytest.mark.parametrize(
    "held_out", [(X, Y.astype(np.int32)), (X, Y.astype(np.float64)), (X, Y, np.ones(480)), (X[:3], Y[:3])]
)
@pytest.mark.parametrize("data", [(X, Y), (X, Y, np.full(480, 0.5))])
def test_validation_data_of_other_types(data, held_out):
    """Labels of another type, weights in the one alone, few rows: evaluated as they are."""
    made = training(networks.dense, plan_of(data, validation=Data("validation_data", held_out)))
    logs = made.logs(sum(made.evaluate(range(8)).values()))
    wanted = made.replica.model.evaluate(*held_out[:2], verbose=0, return_dict=True)
    assert logs == pytest.approx(wanted, rel=1e-5)


def test_validation_data_that_do_not_fit():
    """Found before the first step."""
    with pytest.raises(InputError, match="model, loss and data do not fit"):
        training(networks.dense, plan_of((X, Y), validation=Data("validation_data", (X, np.stack([Y] * 5, axis=1)))))
    with pytest.raises(InputError, match="the data have no rows"):
        training(networks.dense, plan_of((X, Y), validation=Data("validation_data", (X[:0], Y[:0]))))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 50}, "batch_size is 50, but must be a multiple of parts, 8: 48 or 56"),
        ({"batch_size": 4}, "batch_size is 4, but must be a multiple of parts, 8: 8"),
        ({"validation": 1.0}, "validation is 1.0, but must be between 0 and 1"),
    ],
)
def test_settings(settings, message):
    """Numbers that cannot be; the nearest ones that can."""
    with pytest.raises(InputError, match=message):
        Plan(data=Data("data", networks.data), **settings)


def test_too_few_rows():
    """Fewer than a batch, and a fraction that holds out none."""
    with pytest.raises(InputError, match="40 rows to train on, fewer than batch_size, 48"):
        training(networks.dense, plan_of(networks.rows(40)))
    with pytest.raises(InputError, match="which is none of a part's"):
        training(networks.dense, plan_of(networks.rows(64), validation=0.01))


def test_arrays_of_different_lengths():
    """The lengths are named."""
    x, y = networks.rows()
    with pytest.raises(DataError, match="480, 479 rows"):
        Data("data", (x, y[:-1])).open()


def test_a_loss_that_is_not_finite():
    """Named with part and step; or the step is skipped, and counted."""
    x, y = networks.rows()
    with pytest.raises(UserCodeError, match="the loss of (part .|some part) in step .* is not finite"):
        trained(networks.exploding, plan_of((x, y)), 30)
    advice = "with on_nan skip in another run; a model whose source was edited goes on with accept_new_code$"
    with pytest.raises(UserCodeError, match=advice):  # as a run folder does that began with other settings or code
        trained("networks:exploding", plan_of("networks:data", sources=sources(networks)), 30)
    made = trained(networks.exploding, plan_of((x, y), on_nan="skip"), 30)
    assert made.skipped > 0
    assert all(np.isfinite(array).all() for array in made.replica.weights().values())


def test_a_gradient_that_is_not_finite():
    """Found though the loss is: nothing becomes of the weights."""
    with pytest.raises(UserCodeError, match="in step 1, or its gradient, is not finite"):
        trained(networks.infinite_gradient, plan_of(networks.data), 1)
    made = trained(networks.infinite_gradient, plan_of(networks.data, on_nan="skip"), 2)
    assert made.skipped == 2
    assert all(np.isfinite(array).all() for array in made.replica.weights().values())


def test_a_factory_of_too_few_batches():
    """It said nine, and gave two."""
    with pytest.raises(DataError, match="gave 2 batches for part 0 of epoch 0, not 9"):
        trained(networks.dense, plan_of(odd_factories.fewer_batches), 5)


def test_a_factory_with_other_arguments():
    """What it must take."""
    with pytest.raises(InputError, match="data is a function of .*, but must take nothing"):
        Data("data", lambda a, b: (a, b)).open()


def test_weights_by_name():
    """Missing and unknown names, and shapes, are listed."""
    made = training(networks.dense, plan_of(networks.data))
    weights = made.replica.weights()
    weights["dense/kernel"] = np.zeros((2, 2))
    weights["other"] = weights.pop("dense/bias")
    with pytest.raises(InputError, match="dense/bias is missing; other is not a variable .*; dense/kernel has shape"):
        made.replica.set_weights(weights)


def test_callbacks_that_are_none():
    """A list of Keras callbacks is wanted."""
    with pytest.raises(InputError, match="callbacks has int"):
        KerasCallbacks([3], None, 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="callbacks are int, but must be a list"):
        KerasCallbacks(3, None, 1)  # type: ignore[arg-type]


def test_callbacks_that_would_not_be_called(tmp_path):
    """Keras's that need the model itself, and any that act at batches, are refused; what replaces them is named."""
    import keras

    class Batches(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            """Would not be called."""

    for callback, message in [
        (
            keras.callbacks.ModelCheckpoint(tmp_path / "m.keras"),
            "ModelCheckpoint does not work here, leave it out: save_every",
        ),
        (keras.callbacks.BackupAndRestore(tmp_path), "BackupAndRestore does not work here, leave it out: save_every"),
        (keras.callbacks.TerminateOnNaN(), "TerminateOnNaN does not work here, leave it out: on_nan"),
        (Batches(), "the callback Batches has on_train_batch_end, which is not called"),
        (
            keras.callbacks.LambdaCallback(on_train_batch_begin=print),
            "LambdaCallback has on_train_batch_begin,",
        ),
    ]:
        with pytest.raises(InputError, match=message):
            KerasCallbacks([callback], None, 1)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="the model is on the workers: callbacks have .*, but no save"):
        RemoteModel(None).save("m.keras")  # type: ignore[arg-type]


def test_replicas_without_a_client():
    """One line says what is needed."""
    with pytest.raises(InputError, match=r"client is None, but must be a distributed.Client, such as jobs.connect\(\)"):
        Replicas(None, networks.dense)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--every", "5"], "--every 5 needs --averaging parameters"),
        (["--model", "m:f"], "--model m:f needs --data"),
        (["--example", "linear", "--data", "digits"], "--example linear has its own model and data"),
        (["--save-every", "0"], "--save-every is '0', but must be a number of steps"),
        (["--parts", "some"], "--parts"),
        (["--workers", "0", "--threads", "2"], "with --workers 0 all happens on one thread"),
    ],
)
@command_line()
def test_options(arguments, message):
    """Options that would not be read, or cannot be."""
    with pytest.raises(InputError, match=message):
        parse(Options, "dask-jobs train", arguments)


def test_what_is_a_function():
    """module:function, not a data set's spec."""
    assert is_function("my_model:data")
    assert is_function("package.module:data")
    assert not any(map(is_function, ["digits", "idx:/data", "npz:x", "s3://bucket/x", "npy:folder", "/a:b"]))
