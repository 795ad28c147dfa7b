"""SciPy's global optimizers as torch optimizers: basin hopping, differential evolution, SHGO and dual annealing."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from scipy import optimize

from jobs.errors import InputError
from jobs.minimize.optimize.minimize import Minimization
from jobs.minimize.torch.optimizer.arguments import check_names, minimizer_arguments
from jobs.minimize.torch.optimizer.base import ClosureOptimizer, Vector
from jobs.minimize.torch.optimizer.closure import ClosureObjective

OURS = {"func", "x0", "args", "minimizer_kwargs", "local_search_options", "workers", "vectorized"}
"""Arguments of SciPy's functions that are not the user's here: a closure has no arguments, and runs in one process."""


class _SearchWrapper(ClosureOptimizer):
    """A global search: `step(closure)` runs it to its end, and leaves the parameters at the best point.

    Args:
        params: as of `MinimizeWrapper`.
        minimizer_args: of the local searches, as of `MinimizeWrapper`; None for a search without them.
        keywords: further arguments of SciPy's function.

    Raises:
        InputError: an argument is wrong.
    """

    KEPT = (*ClosureOptimizer.KEPT, "_local", "_keywords")
    _search: Callable[..., optimize.OptimizeResult]
    _noun: str

    def __init__(self, params: Iterable[Any], minimizer_args: Any, keywords: Any) -> None:
        if not isinstance(keywords, Mapping):
            raise InputError(f"{self._noun} is {type(keywords).__name__}, but must be a dict")
        known = [name for name in inspect.signature(self._search).parameters if name not in OURS] + ["seed"]
        check_names(self._noun, keywords, known)
        self._keywords = dict(keywords)
        self._local = None if minimizer_args is None else minimizer_arguments(minimizer_args)
        super().__init__(params, gradient=self._local is not None and self._local.gradient)
        if "bounds" in known and "bounds" not in keywords:
            raise InputError(f"{self._noun} has no 'bounds', but must say where to search: [(-5, 5)] * n")

    def _solved(
        self, objective: ClosureObjective, start: Vector, after: Callable[[Vector], None]
    ) -> optimize.OptimizeResult:
        best = np.inf

        def noted(theta: Vector, value: float) -> None:
            nonlocal best
            if value < best:
                best = value
                after(theta)

        return self._searched(_Noting(objective, noted), start)

    @abstractmethod
    def _searched(self, objective: _Noting, start: Vector) -> optimize.OptimizeResult:
        """Run SciPy's function."""

    def _minimizer(self, objective: _Noting, start: Vector) -> dict[str, Any]:
        """Return the local searches' arguments of `scipy.optimize.minimize`, without the function and what is empty."""
        assert self._local is not None
        arguments = Minimization(objective, start, **self._local.for_precision(single=objective.single)).arguments()
        arguments["callback"] = self._local.callback
        return {name: value for name, value in arguments.items() if name != "fun" and value not in (None, ())}

    def _parted(self, objective: _Noting, start: Vector) -> dict[str, Any]:
        """Return the same for a function that wants value and gradient apart."""
        arguments = self._minimizer(objective, start)
        return arguments | ({"jac": objective.grad} if arguments.get("jac") else {})


class BasinHoppingWrapper(_SearchWrapper):
    """`scipy.optimize.basinhopping`: local searches from where random steps lead.

    Args:
        params: as of `MinimizeWrapper`.
        minimizer_args: of the local searches, as of `MinimizeWrapper`.
        basinhopping_kwargs: niter, T, stepsize, rng, ... of SciPy's function.
    """

    _search, _noun = staticmethod(optimize.basinhopping), "basinhopping_kwargs"

    def __init__(self, params: Iterable[Any], minimizer_args: Any, basinhopping_kwargs: Any) -> None:
        super().__init__(params, minimizer_args or {}, basinhopping_kwargs)

    def _searched(self, objective: _Noting, start: Vector) -> optimize.OptimizeResult:
        function = objective if self._gradient else objective.loss
        return self._search(function, start, minimizer_kwargs=self._minimizer(objective, start), **self._keywords)


class DifferentialEvolutionWrapper(_SearchWrapper):
    """`scipy.optimize.differential_evolution`, which needs no gradient: the closure need not call backward().

    Args:
        params: as of `MinimizeWrapper`.
        de_kwargs: bounds (a pair for each number), popsize, maxiter, rng, ... of SciPy's function.
    """

    _search, _noun = staticmethod(optimize.differential_evolution), "de_kwargs"

    def __init__(self, params: Iterable[Any], de_kwargs: Any) -> None:
        super().__init__(params, None, de_kwargs)

    def _searched(self, objective: _Noting, start: Vector) -> optimize.OptimizeResult:  # noqa: ARG002
        return self._search(objective.loss, **self._keywords)


class SHGOWrapper(_SearchWrapper):
    """`scipy.optimize.shgo`: local searches from points that cover the bounds (simplicial homology).

    Args:
        params: as of `MinimizeWrapper`.
        minimizer_args: of the local searches, as of `MinimizeWrapper`.
        shgo_kwargs: bounds (a pair for each number), n, iters, sampling_method, ... of SciPy's function.
    """

    _search, _noun = staticmethod(optimize.shgo), "shgo_kwargs"

    def __init__(self, params: Iterable[Any], minimizer_args: Any, shgo_kwargs: Any) -> None:
        super().__init__(params, minimizer_args or {}, shgo_kwargs)

    def _searched(self, objective: _Noting, start: Vector) -> optimize.OptimizeResult:
        local = {"options": {}, **self._parted(objective, start)}
        return self._search(objective.value, minimizer_kwargs=local, **self._keywords)


class DualAnnealingWrapper(_SearchWrapper):
    """`scipy.optimize.dual_annealing`: generalized simulated annealing with local searches.

    Args:
        params: as of `MinimizeWrapper`.
        minimizer_args: of the local searches, as of `MinimizeWrapper`.
        da_kwargs: bounds (a pair for each number), maxiter, initial_temp, rng, ... of SciPy's function.
    """

    _search, _noun = staticmethod(optimize.dual_annealing), "da_kwargs"

    def __init__(self, params: Iterable[Any], minimizer_args: Any, da_kwargs: Any) -> None:
        super().__init__(params, minimizer_args or {}, da_kwargs)

    def _searched(self, objective: _Noting, start: Vector) -> optimize.OptimizeResult:
        return self._search(objective.value, minimizer_kwargs=self._parted(objective, start), **self._keywords)


class _Noting:
    """An objective that says each value to a function."""

    def __init__(self, objective: ClosureObjective, noted: Callable[[Vector, float], None]) -> None:
        self._objective, self._noted = objective, noted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objective, name)

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        loss, gradient = self._objective(theta)
        self._noted(theta, loss)
        return loss, gradient

    def loss(self, theta: Vector) -> float:
        loss = self._objective.loss(theta)
        self._noted(theta, loss)
        return loss

    def value(self, theta: Vector) -> float:
        """Return the loss; its gradient, if there is one, is kept for a call of `grad`."""
        # A copy, since SciPy goes on changing its array while the parameters are views of it.
        return self(theta.copy())[0] if self._objective.has_gradient else self.loss(theta)
