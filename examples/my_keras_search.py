"""A Keras network of your own, built anew in each trial; the callback reports its epochs."""

from jobs.datasets import open_dataset
from jobs.tune import space
from jobs.tune.keras import Report

SPACE = {"learning_rate": space.log(1e-4, 1), "units": space.integer(8, 64)}


def train(parameters, trial):
    """Fit the digits, and return the validation accuracy."""
    import keras

    keras.utils.set_random_seed(trial.seed)
    digits = open_dataset("digits")
    images, labels = digits.read(0, digits.rows)
    model = keras.Sequential(
        [
            keras.layers.Rescaling(digits.scale),
            keras.layers.Flatten(),
            keras.layers.Dense(parameters["units"], "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )
    sgd = keras.optimizers.SGD(parameters["learning_rate"])
    model.compile(sgd, "sparse_categorical_crossentropy", metrics=["accuracy"])
    report = Report(trial, monitor="val_accuracy")
    fit = model.fit(images, labels, epochs=10, validation_split=0.2, callbacks=[report], verbose=0)
    return fit.history["val_accuracy"][-1]
