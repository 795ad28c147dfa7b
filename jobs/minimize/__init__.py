"""Minimize a loss that is a sum over much data, by any of SciPy's optimizers.

Public: `Objective`, a callable for `scipy.optimize`; `minimize`, all of SciPy's methods on it with what each needs; and
problems: `softmax`, `keras` (any Keras model), or any object as `Problem` describes.
"""

from jobs.minimize.objective import Objective
from jobs.minimize.problem import Problem
from jobs.minimize.solve import minimize

__all__ = ["Objective", "Problem", "minimize"]
