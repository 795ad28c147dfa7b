"""Poisson regression: the counts in counts_y.npy, (rows,), by the features in counts_x.npy, (rows, features)."""

import hashlib

import numpy as np
from jobs import DataError


class Counts:
    """Sum over the rows of rate - y log(rate), where rate = exp(x w + b); theta is (w, b)."""

    block_rows = 4096

    def __init__(self):
        """Look at the files; runs on the driver and on every worker."""
        x, y = self._open()
        if len(x) != len(y):
            raise DataError(f"counts_x.npy has {len(x):,} rows, but counts_y.npy has {len(y):,}")
        self.rows, self.features = x.shape

    def _open(self):
        return (np.load(f"counts_{name}.npy", mmap_mode="r") for name in "xy")

    def x0(self):
        """Return zeros, (features + 1,)."""
        return np.zeros(self.features + 1)

    def load(self, start, stop):
        """Return x and y of rows start .. stop - 1 in float64."""
        x, y = (array[start:stop].astype(np.float64) for array in self._open())
        if y.min() < 0:
            raise DataError(f"counts_y.npy: row {start + y.argmin():,} is {y.min():g}, but counts must be >= 0")
        return x, y

    def value_and_grad(self, theta, data):
        """Return loss and gradient, summed over the rows."""
        x, y = data
        log_rate = x @ theta[:-1] + theta[-1]
        rate = np.exp(log_rate)
        return rate.sum() - y @ log_rate, np.append(x.T @ (rate - y), (rate - y).sum())

    def hessp(self, theta, v, data):
        """Return the Hessian's product with v, summed over the rows."""
        x, _ = data
        change = np.exp(x @ theta[:-1] + theta[-1]) * (x @ v[:-1] + v[-1])
        return np.append(x.T @ change, change.sum())

    def predict(self, theta, x):
        """Return the expected counts of rows x: `dask-jobs predict RUN --data DATA`."""
        return np.exp(x @ theta[:-1] + theta[-1])

    def penalized(self):
        """Return which entries of theta --l1 and --l2 act on: w, not b."""
        return np.arange(self.features + 1) < self.features

    def names(self):
        """Return what the entries of theta are called."""
        return [f"w{feature}" for feature in range(self.features)] + ["b"]

    def files(self):
        """Return the files that are read: a run is refused when one has changed."""
        return ["counts_x.npy", "counts_y.npy"]

    def fingerprint(self):
        """Return what names model and data, so that a run is never resumed with others: raise 1 when you edit."""
        digest = hashlib.blake2b()
        for array in self._open():
            digest.update(repr(array.shape).encode() + array[:1000].tobytes())
        return f"counts/1/{digest.hexdigest()}"


def problem():
    """Return the problem: `dask-jobs minimize --problem counts:problem`."""
    return Counts()
