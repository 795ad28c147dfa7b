"""A problem of your own: fit a damped oscillation, a exp(-b t) cos(c t), to a million samples."""

import numpy as np


class Oscillation:
    """Half the sum of squared residuals; theta is (a, b, c)."""

    rows = 1_000_000
    block_rows = 65_536

    def x0(self):
        """Return the start."""
        return np.array([1.0, 1.0, 6.0])

    def names(self):
        """Return what the entries of theta are called."""
        return ["a", "b", "c"]

    def load(self, start, stop):
        """Return t and y of rows start .. stop - 1; yours would read them from a file."""
        row = np.arange(start, stop)
        t = 2 * row / self.rows
        noise = 0.1 * np.sin(12.9898 * row)
        return t, 2.0 * np.exp(-1.5 * t) * np.cos(7.0 * t) + noise

    def value_and_grad(self, theta, data):
        """Return the loss and its gradient, summed over the rows that `load` returned."""
        a, b, c = theta
        t, y = data
        decay = np.exp(-b * t)
        wave = decay * np.cos(c * t)
        residual = a * wave - y
        gradient = [residual @ wave, -a * residual @ (t * wave), -a * residual @ (t * decay * np.sin(c * t))]
        return 0.5 * residual @ residual, np.array(gradient)


def problem():
    """Return the problem: `dask-jobs minimize --problem my_model:problem`."""
    return Oscillation()
