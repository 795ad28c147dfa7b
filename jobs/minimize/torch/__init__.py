"""PyTorch: SciPy's optimizers as `torch.optim.Optimizer`s, and any model as a problem that is summed over a cluster.

Public: `MinimizeWrapper` (all methods of `scipy.optimize.minimize`), `BasinHoppingWrapper`,
`DifferentialEvolutionWrapper`, `SHGOWrapper`, `DualAnnealingWrapper`; and `problem`, for the sharded objective.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.lazy import lazy as _lazy

if TYPE_CHECKING:
    from jobs.minimize.torch.optimizer.minimize_wrapper import MinimizeWrapper
    from jobs.minimize.torch.optimizer.search_wrappers import (
        BasinHoppingWrapper,
        DifferentialEvolutionWrapper,
        DualAnnealingWrapper,
        SHGOWrapper,
    )
    from jobs.minimize.torch.sharded import TorchProblem, problem

__all__ = [
    "BasinHoppingWrapper",
    "DifferentialEvolutionWrapper",
    "DualAnnealingWrapper",
    "MinimizeWrapper",
    "SHGOWrapper",
    "TorchProblem",
    "problem",
]
_search = "optimizer.search_wrappers"
__getattr__, __dir__ = _lazy(
    __name__,
    {
        "BasinHoppingWrapper": _search,
        "DifferentialEvolutionWrapper": _search,
        "DualAnnealingWrapper": _search,
        "MinimizeWrapper": "optimizer.minimize_wrapper",
        "SHGOWrapper": _search,
        "TorchProblem": "sharded",
        "problem": "sharded",
    },
)
