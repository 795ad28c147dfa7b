"""An Optuna objective, as it is: it asks the trial for its hyperparameters, and which ones depends on the others."""

import functools

import numpy as np
import optuna
from jobs.datasets import open_dataset


@functools.cache
def digits():
    """Return images (1797, 64) and labels (1797,), read once in each worker process."""
    dataset = open_dataset("digits")
    images, labels = dataset.read(0, dataset.rows)
    return images.reshape(len(images), -1) / 16, labels


def objective(trial):
    """Train a network with one hidden layer or none, and return its validation error."""
    images, labels = digits()
    rate = trial.suggest_float("learning_rate", 1e-3, 10, log=True)
    batch = trial.suggest_int("batch_size", 20, 200, step=20)
    units = 64
    hidden = None
    random = np.random.default_rng(0)
    if trial.suggest_categorical("hidden", [True, False]):
        units = trial.suggest_int("units", 16, 128, log=True)
        hidden = random.normal(0, 0.3, (64, units))
    features = images if hidden is None else np.tanh(images @ hidden)
    weights = np.zeros((units, 10))
    for epoch in range(1, 21):
        for rows in np.array_split(random.permutation(1400), 1400 // batch):
            scores = features[rows] @ weights
            chances = np.exp(scores - scores.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            chances[np.arange(len(rows)), labels[rows]] -= 1
            weights -= rate * features[rows].T @ chances / len(rows)
        error = float(((features[1400:] @ weights).argmax(axis=1) != labels[1400:]).mean())
        trial.report(error, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("parameters", weights.size)
    return error
