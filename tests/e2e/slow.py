"""Problems for the tests' releases: they mostly sleep, so they last long enough to be disturbed on any machine."""

import os
import time

import numpy as np

SECONDS = float(os.environ.get("SLOW_SECONDS", "0.1"))
"""How long a block's sum takes; there are 8 blocks."""


class Slow:
    """Rosenbrock's function of 12 parameters, randomly weighted by each row; L-BFGS-B takes 106 evaluations."""

    rows, block_rows = 800, 100

    def x0(self):
        return np.where(np.arange(12) % 2, 1.0, -1.2)

    def load(self, start, stop):
        return np.random.default_rng(start).uniform(0.5, 1.5, size=(stop - start, 11))

    def value_and_grad(self, theta, data):
        time.sleep(SECONDS)
        head, tail, weights = theta[:-1], theta[1:], data.sum(axis=0)
        bend = tail - head**2
        grad = np.zeros(12)
        grad[:-1] = weights * (-400 * head * bend - 2 * (1 - head))
        grad[1:] += weights * 200 * bend
        return float(weights @ (100 * bend**2 + (1 - head) ** 2)), grad


problem = Slow


class Long:
    """A quadratic of 1,000 parameters, the most that are in the log: its line of the result is over 16 KiB."""

    rows, block_rows = 1000, 250

    def x0(self):
        return np.zeros(1000)

    def load(self, start, stop):
        return start, np.random.default_rng(start).normal(size=stop - start)

    def value_and_grad(self, theta, data):
        start, goal = data
        rest = theta[start : start + len(goal)] - goal
        grad = np.zeros(1000)
        grad[start : start + len(goal)] = rest
        return float(rest @ rest) / 2, grad


class Failing(Slow):
    """Raises at the first block."""

    def value_and_grad(self, theta, data):
        raise LookupError("no such row")


class Greedy(Slow):
    """Kills its worker: asks for 16 GiB and touches them."""

    def value_and_grad(self, theta, data):
        np.ones(2 << 30)
        return super().value_and_grad(theta, data)
