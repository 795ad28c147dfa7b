"""A small Keras network on the shipped digits, fitted by SciPy's optimizers."""

from jobs.minimize import keras


def create_model():
    """Return the network, built and with its initial weights."""
    from keras import Input, Sequential, layers

    return Sequential([Input((8, 8)), layers.Flatten(), layers.Dense(32, "tanh"), layers.Dense(10, "softmax")])


def problem():
    """Return the problem: `dask-jobs minimize --problem my_network:problem`."""
    return keras.problem(create_model, "sparse_categorical_crossentropy", "digits")
