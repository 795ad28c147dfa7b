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
        minimizer_args: of the local searches, as of `MinimizeWrapper`, within the bounds where the method takes them;
            None for a search without them.
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

        noting = _Noting(objective, noted)
        inside = self._check_bounds(start)
        first = noting.value(start) if inside else objective.value(start)
        result = self._searched(noting, start, inside=inside)
        if inside and first < result.fun:
            result.x, result.fun = start, first
            result.message = f"{result.message} No point was better than the start."
        return result

    def _check_bounds(self, start: Vector) -> bool:
        """Return whether the start is within the bounds, if there are any.

        Raises:
            InputError: they are of another number than the parameters.
        """
        bounds = self._keywords.get("bounds")
        if bounds is None:
            return True
        given = (bounds.lb, bounds.ub) if isinstance(bounds, optimize.Bounds) else np.transpose(np.asarray(bounds))
        low, high = (np.atleast_1d(np.asarray(side, dtype=np.float64)) for side in given)
        if low.shape != start.shape:
            raise InputError(
                f"bounds are of {low.size:,} numbers, but the parameters have {start.size:,}: give a pair for each"
            )
        return bool(((low <= start) & (start <= high)).all())

    @abstractmethod
    def _searched(self, objective: _Noting, start: Vector, *, inside: bool) -> optimize.OptimizeResult:
        """Run SciPy's function, from the start where it takes one and that is inside the bounds."""

    def _minimizer(self, objective: _Noting, start: Vector) -> dict[str, Any]:
        """Return the local searches' arguments of `scipy.optimize.minimize`, without the function and what is empty."""
        assert self._local is not None
        given = self._local.for_precision(start, single=objective.single)
        if self._local.method.bounds and "bounds" in self._keywords:
            given.setdefault("bounds", self._keywords["bounds"])  # or the searches end beyond them
        arguments = Minimization(objective, start, **given).arguments()
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

    def _searched(self, objective: _Noting, start: Vector, *, inside: bool) -> optimize.OptimizeResult:  # noqa: ARG002
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

    def _searched(self, objective: _Noting, start: Vector, *, inside: bool) -> optimize.OptimizeResult:
        return self._search(objective.loss, x0=start if inside else None, **self._keywords)


class SHGOWrapper(_SearchWrapper):
    """`scipy.optimize.shgo`: local searches from points that cover the bounds (simplicial homology).

    Args:
        params: as of `MinimizeWrapper`.
        minimizer_args: of the local searches, as of `MinimizeWrapper`.
        shgo_kwargs: bounds (a pair for each number), n, iters, sampling_method, ... of SciPy's function.
    """

    _search, _noun = staticmethod(optimize.shgo), "shgo_kwargs"

    def __init__(self, params: Iterable[Any], minimizer_args: Any, shgo_kwargs: Any) -> None:
        super().__init__(params, _with_method(minimizer_args, "SLSQP"), shgo_kwargs)

    def _searched(self, objective: _Noting, start: Vector, *, inside: bool) -> optimize.OptimizeResult:  # noqa: ARG002
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
        super().__init__(params, _with_method(minimizer_args, "L-BFGS-B"), da_kwargs)

    def _searched(self, objective: _Noting, start: Vector, *, inside: bool) -> optimize.OptimizeResult:
        local, x0 = self._parted(objective, start), start if inside else None
        return self._search(objective.value, minimizer_kwargs=local, x0=x0, **self._keywords)


def _with_method(given: Any, method: str) -> Any:
    """Return the arguments of local searches with SciPy's own choice of a method, where they name none."""
    return {"method": method, **(given or {})} if given is None or isinstance(given, Mapping) else given


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
        return self(theta)[0] if self._objective.has_gradient else self.loss(theta)
