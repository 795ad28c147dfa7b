"""Text of a module with a problem that a test edits."""

TEXT = """
import numpy as np

class Parabola:
    rows, block_rows = 10, 4

    def x0(self):
        return np.ones(2)

    def load(self, start, stop):
        return stop - start

    def value_and_grad(self, theta, rows):
        return rows * float(theta @ theta) {more}, 2 * rows * theta

def problem():
    return Parabola()
"""
