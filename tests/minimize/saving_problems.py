"""Problems that predict rows and save files of their own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import keras_models
import numpy as np
from problems import LeastSquares

from jobs.minimize import keras


@dataclass(frozen=True)
class Fit(LeastSquares):
    """A linear fit of two columns, that predicts, and saves what the file KIND names."""

    def predict(self, theta, x):
        return x @ theta[: x.shape[1]]

    def save(self, theta, folder):
        np.save(Path(folder, "fit.npy"), theta)
        Path(folder, "more").mkdir()
        Path(folder, "more/text.txt").write_text("a fit")
        theta[:] = 0


@dataclass(frozen=True)
class Odd(LeastSquares):
    """Its `save` does what the variable ODD names."""

    def save(self, theta, folder):
        kind, top = os.environ["ODD"], Path(folder)
        if kind == "raises":
            raise ZeroDivisionError("a bug of mine")
        if kind == "exits":
            raise SystemExit(0)
        (top / "good.txt").write_text("good")
        if kind == "goes there":
            os.chdir(top)
        elif kind == "link":
            (top / "link").symlink_to("/etc/hostname")
        elif kind == "folder link":
            (top / "link").symlink_to("/etc")
        elif kind == "pipe":
            os.mkfifo(top / "pipe")
        else:
            (top / kind).parent.mkdir(parents=True, exist_ok=True)
            (top / kind).write_text("mine")


@dataclass(frozen=True)
class Wide(LeastSquares):
    """Predicts what is no row each."""

    def predict(self, theta, x):
        return x[:1]


def network():
    """A network on points."""
    return keras.problem(keras_models.mlp, "sparse_categorical_crossentropy", keras_models.Points())
