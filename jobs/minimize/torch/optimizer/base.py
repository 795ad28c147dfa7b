"""What the wrappers share: a `torch.optim.Optimizer` whose step is a whole run of one of SciPy's optimizers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize

from jobs.errors import InputError
from jobs.minimize.torch.optimizer.closure import ClosureObjective
from jobs.minimize.torch.optimizer.packing import Packing

Vector = NDArray[np.float64]


class ClosureOptimizer(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not installed where types are checked
    """An optimizer that calls a closure until it has converged.

    Args:
        params: parameters, or groups of them, as of any torch optimizer; of float32 and float64, on any devices.

    Attributes:
        res: SciPy's result of the last step; None before.
        KEPT: names of attributes that a copy of the optimizer keeps, beside torch's.

    Raises:
        InputError: there are no parameters, or one cannot be optimized.
    """

    KEPT: tuple[str, ...] = ("res", "_gradient")

    def __init__(self, params: Iterable[Any], *, gradient: bool) -> None:
        given = [params] if isinstance(params, torch.Tensor) else list(params)
        if not given:
            raise InputError("params is empty, but must be parameters, such as model.parameters()")
        # Schedulers read a group's learning rate. SciPy's methods find their own steps, so it has no other use.
        super().__init__(given, {"lr": 1.0})
        self.res: optimize.OptimizeResult | None = None
        self._gradient = gradient
        Packing(self._parameters())

    def _parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def step(self, closure: Callable[[], Any]) -> Any:
        """Optimize from where the parameters are, and leave them at the result, which is also in `res`.

        If the closure raises, or Ctrl-C ends it, they are left where the last iteration ended.

        Args:
            closure: computes the loss of the whole data and its gradient, and returns the loss: zero_grad(), forward,
                backward().

        Returns:
            The loss at the start, as the closure returned it, as torch's optimizers do; that at the end is `res.fun`.

        Raises:
            InputError: the closure cannot be used; whatever the closure raises is raised unchanged.
            UserCodeError: loss or gradient is not finite.
        """
        packing = Packing(self._parameters())
        start = packing.vector()
        objective = ClosureObjective(closure, packing, has_gradient=self._gradient)
        last = [start]
        try:
            self.res = self._solved(objective, start, lambda theta: last.__setitem__(0, np.array(theta)))
            last[0] = np.asarray(self.res.x, dtype=np.float64)
        finally:
            packing.place(last[0])
        self._count(objective)
        return objective.first

    @abstractmethod
    def _solved(
        self, objective: ClosureObjective, start: Vector, after: Callable[[Vector], None]
    ) -> optimize.OptimizeResult:
        """Run SciPy's optimizer; `after` is called with the best point after each iteration."""

    def _count(self, objective: ClosureObjective) -> None:
        """Add to the counts that torch's L-BFGS keeps in its state, under the first parameter."""
        assert self.res is not None
        state = self.state[self._parameters()[0]]
        state["func_evals"] = state.get("func_evals", 0) + objective.evaluations
        state["n_iter"] = state.get("n_iter", 0) + int(self.res.get("nit", 0))

    def __getstate__(self) -> dict[str, Any]:
        own = {name: value for name, value in vars(self).items() if name in self.KEPT}
        return {**super().__getstate__(), **own}
