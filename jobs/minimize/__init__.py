"""Minimize a loss that is a sum over much data, by any of SciPy's optimizers.

Public: `Objective`, a callable for `scipy.optimize`; `minimize`, all of SciPy's methods on it with what each needs; and
problems: `softmax`, `keras` (any Keras model), or any object as `Problem` describes.
"""

from jobs.minimize.objective import Objective
from jobs.minimize.optimize.minimize import minimize
from jobs.minimize.problems.base import Problem

__all__ = ["Objective", "Problem", "minimize"]
