"""Search spaces: a dimension for each hyperparameter, from Python or from YAML; Optuna's samplers and pruners by name.

Public: `uniform`, `log`, `integer` and `choice` make dimensions; `load` and `parse` read a space from YAML, `check` one
given in Python, `plain` converts it to YAML's types, and `draw` draws from it.
"""

from jobs.tune.space.space import check, choice, draw, integer, load, log, parse, plain, uniform

__all__ = ["check", "choice", "draw", "integer", "load", "log", "parse", "plain", "uniform"]
