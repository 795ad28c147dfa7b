"""`MinimizeWrapper`: all methods of `scipy.optimize.minimize` as a torch optimizer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from scipy import optimize

from jobs.minimize.optimize.minimize import Minimization
from jobs.minimize.torch.optimizer.arguments import adapted, minimizer_arguments
from jobs.minimize.torch.optimizer.base import ClosureOptimizer, Vector
from jobs.minimize.torch.optimizer.closure import ClosureObjective


class MinimizeWrapper(ClosureOptimizer):
    """`scipy.optimize.minimize` on a model's parameters: `step(closure)` is called once, and runs to convergence.

    The closure is that of `torch.optim.LBFGS`: it computes the loss of all the data. SciPy sees float64, the parameters
    keep their types. A further step begins where the parameters are, with nothing of what the method had learned.

    Newton-CG, trust-ncg, trust-krylov and trust-constr use exact Hessian products, dogleg and trust-exact the exact
    Hessian, by differentiating the closure's gradient. A closure that has `.model` and a function `.loss(model)` is not
    called again for that.

    Args:
        params: parameters, or groups of them; of float32 and float64, on any devices.
        minimizer_args: `method` (SciPy's own choice by default), `options` (those of the method; its own defaults;
            `disp` prints a summary), `jac` (False: finite differences, where the method needs a gradient), `bounds`,
            `constraints`, `callback`, `tol`. It is not changed, and later changes of it do not count.

    Raises:
        InputError: an argument is wrong.
    """

    KEPT = (*ClosureOptimizer.KEPT, "_arguments")

    def __init__(self, params: Iterable[Any], minimizer_args: dict[str, Any]) -> None:
        self._arguments = minimizer_arguments(minimizer_args)
        super().__init__(params, gradient=self._arguments.gradient)

    def _solved(
        self, objective: ClosureObjective, start: Vector, after: Callable[[Vector], None]
    ) -> optimize.OptimizeResult:
        given = self._arguments
        minimization = Minimization(objective, start, **given.for_precision(start, single=objective.single))
        last = start

        def at_iterate(theta: Vector) -> None:
            nonlocal last
            last = theta
            after(theta)
            if given.callback is not None:  # it may look at the model, which is at the last point that was tried
                objective.place(theta)

        callback = adapted(given.callback, given.method, at_iterate, objective.value)
        try:
            # Threads of the closure's own operations are the user's to choose.
            result = minimization.solve(callback, user_api="blas")
        except StopIteration:  # from TNC, which does not take it; others end with this result
            text = "`callback` raised `StopIteration`."
            result = optimize.OptimizeResult(x=last, fun=objective.value(last), success=False, status=99, message=text)
        if given.summary:
            print_summary(given.method.name, result)
        return result


def print_summary(name: str, result: optimize.OptimizeResult) -> None:
    """Print a summary as SciPy's, whose methods print different ones, or warn in its place, or print nothing."""
    counts = {
        "Iterations": result.get("nit"),
        "Function evaluations": result.get("nfev"),
        "Gradient evaluations": result.get("njev"),
        "Hessian evaluations": result.get("nhev") or None,
    }
    lines = [f"         {what}: {count}" for what, count in counts.items() if count is not None]
    text = "\n".join([f"{name}: {result.message}", f"         Current function value: {result.fun:f}", *lines])
    sys.stdout.write(f"{text}\n")
