"""A closure, as torch's optimizers take it, evaluated at vectors; what it must not do is found at its first calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from jobs.errors import InputError, UserCodeError
from jobs.minimize.torch.optimizer.modes import check_modes
from jobs.minimize.torch.optimizer.packing import Packing
from jobs.minimize.torch.second import GradientGraph

Vector = NDArray[np.float64]
EXAMPLE = """\
class Closure:
    def __init__(self, model):
        self.model = model

    @staticmethod
    def loss(model):
        return loss_function(model(x), y)

    def __call__(self):
        optimizer.zero_grad()
        loss = self.loss(self.model)
        loss.backward()
        return loss
"""
NO_GRAPH = (
    "the closure's loss has no graph, from which Hessians are computed: return it as it is (no .item(), no .detach()) "
    f"after loss.backward(), or give the optimizer such a closure:\n{EXAMPLE}"
)
ALIKE, TINY = 1e-2, 1e-6
"""Two gradients at one point differ by less, relative to their largest entry, or by rounding where both are small."""
SAME = 1e-5
"""Two losses at one point differ by less, relative to them, where only the order of sums on a GPU differs."""


class ClosureObjective:
    """A closure's loss and derivatives as functions of a vector, as `jobs.minimize.optimize.minimize` takes them.

    Args:
        closure: without arguments; it returns the loss, and calls its backward(). With attributes `model`, a module,
            and `loss`, a function of it, Hessians are computed from these, else from another call of the closure.
        packing: the parameters.
        has_gradient: whether the closure's derivatives are used.

    Attributes:
        n: entries of the vector.
        single: whether any parameter is of float32.
        first: the loss of the first evaluation, as the closure returned it.
        evaluations: how many there were.

    Raises:
        InputError: the closure is not callable, or its model is in a mode that makes the loss random.
    """

    def __init__(self, closure: Callable[[], Any], packing: Packing, *, has_gradient: bool) -> None:
        if not callable(closure):
            raise InputError(f"closure is {type(closure).__name__}, but must be a function that returns the loss")
        self._model, self._loss = getattr(closure, "model", None), getattr(closure, "loss", None)
        if isinstance(self._model, torch.nn.Module):
            check_modes(self._model)
        # A closure may well have the loss function, nn.CrossEntropyLoss() say, as `loss`: that is not one of the model.
        self._of_model = (
            isinstance(self._model, torch.nn.Module)
            and callable(self._loss)
            and not isinstance(self._loss, torch.nn.Module)
        )
        self._checked = False
        self.problem = object()  # it has no bounds or constraints of its own
        self._closure, self._packing = closure, packing
        self.n = packing.n
        self.has_gradient = self.has_hessp = self.has_hess = has_gradient
        self.single = any(parameter.dtype == torch.float32 for parameter in packing.parameters)
        self.first: Any = None
        self.evaluations = 0
        self._graph: tuple[bytes, GradientGraph] | None = None
        self._memo: tuple[bytes, Vector] | None = None

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Return the loss and its gradient (n,) float64 at `theta` (n,).

        Raises:
            InputError: the closure returns no scalar, computes no gradient, or draws random numbers.
            UserCodeError: loss or gradient is not finite.
        """
        loss = self._evaluated(theta)
        gradient = self._packing.take_gradient()
        if gradient is None:
            raise InputError(_why_no_gradient(has_graph=self._has_graph))
        if not (math.isfinite(loss) and np.isfinite(gradient).all()):
            what = "loss" if not math.isfinite(loss) else "gradient"
            value = loss if what == "loss" else gradient[~np.isfinite(gradient)][0]
            raise UserCodeError(
                f"the {what} of evaluation {self.evaluations} is {value}: SciPy's methods need finite ones; "
                "bounds keep parameters from where it is not"
            )
        self._memo = theta.tobytes(), gradient
        return loss, gradient.copy()

    def loss(self, theta: Vector) -> float:
        """Return the loss at `theta` (n,), which may be infinite.

        Raises:
            InputError: the closure returns no scalar, or draws random numbers.
            UserCodeError: the loss is NaN.
        """
        loss = self._evaluated(theta)
        if math.isnan(loss):
            raise UserCodeError(f"the loss of evaluation {self.evaluations} is nan, but must be a number")
        return loss

    def value(self, theta: Vector) -> float:
        """Return the loss at `theta` (n,), the gradient's if there is one, which is kept for `grad`."""
        return self(theta)[0] if self.has_gradient else self.loss(theta)

    def grad(self, theta: Vector) -> Vector:
        """Return the gradient (n,) float64, of the last evaluation if that was at `theta`."""
        if self._memo is not None and self._memo[0] == theta.tobytes():
            return self._memo[1].copy()
        return self(theta)[1]

    def hessp(self, theta: Vector, v: Vector) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64.

        Raises:
            InputError: the loss has no second derivative.
            UserCodeError: the product is not finite.
        """
        return _finite(self._graph_at(theta).product(v))

    def hess(self, theta: Vector) -> Vector:
        """Return the Hessian, (n, n) float64.

        Raises:
            InputError: the loss has no second derivative.
            UserCodeError: it is not finite.
        """
        return _finite(self._graph_at(theta).matrix())

    def x0(self) -> Vector:
        """Return the parameters' values, (n,) float64."""
        return self._packing.vector()

    @staticmethod
    def map(function: Callable[[Vector], Any], thetas: Any) -> list[Any]:
        """Apply SciPy's function to the points of a finite difference; this is SciPy's map-like `workers`."""
        return [function(theta) for theta in thetas]

    def _evaluated(self, theta: Vector) -> float:
        """Call the closure at `theta` and return its loss; before the first one, check that it is a function."""
        self.place(theta)
        self.evaluations += 1
        loss = self._called()
        if self.evaluations == 1:
            self.first = self._returned
            self._check_repeatable(loss)
        if not self._packing.is_at(theta):
            raise InputError(
                "the closure changes the parameters that it is to evaluate (clamp_(), or a new .data): what it returns "
                "is of another point; bounds keep parameters in a range, and constraints on a set"
            )
        return loss

    def place(self, theta: Vector) -> None:
        """Set the parameters to `theta` (n,)."""
        self._graph = None  # its parameters change now
        self._packing.place(theta)

    def _called(self) -> float:
        self._packing.drop_gradient()
        with torch.enable_grad():
            returned = self._closure()
        self._returned = returned.detach().clone() if isinstance(returned, torch.Tensor) else returned
        self._has_graph = isinstance(returned, torch.Tensor) and returned.requires_grad
        return _scalar(returned)

    def _check_repeatable(self, loss: float) -> None:
        """Call the closure once more, at the same parameters.

        Raises:
            InputError: the loss is another one.
        """
        gradient = self._packing.take_gradient()
        again = self._called()
        # The gradient, too: at zeros a network's loss may be the same for any data.
        if abs(again - loss) > SAME * max(abs(loss), abs(again)) or not _alike(self._packing.take_gradient(), gradient):
            raise InputError(
                f"the closure's loss is random: {loss:.8g}, then {again:.8g} at the same parameters; SciPy's methods "
                "need a function of the parameters alone: model.eval() turns dropout off; all the data are one batch"
            )

    def _graph_at(self, theta: Vector) -> GradientGraph:
        """Return the gradient's graph at `theta`, that of the last call if it was there, too."""
        key = theta.tobytes()
        if self._graph is None or self._graph[0] != key:
            self._graph = None  # before the next one takes its memory
            self._packing.place(theta)
            self._packing.drop_gradient()
            graph = self._gradient_graph()
            known = self._memo[1] if self._memo is not None and self._memo[0] == key else None
            _check_same(graph.gradient, self._packing.take_gradient() if known is None else known)
            if not self._checked:
                graph.check()
                self._checked = True
            self._graph = key, graph
        return self._graph[1]

    def _gradient_graph(self) -> GradientGraph:
        loss = self._loss_with_graph()
        try:
            return GradientGraph(loss, self._packing.parameters, self._packing.flat)
        except InputError as error:
            if "second time" in error.text:  # torch's own words for a graph that is gone
                raise InputError(NO_GRAPH) from error
            raise

    def _loss_with_graph(self) -> torch.Tensor:
        """Return the loss at the parameters, with a graph that can be differentiated twice."""
        with torch.enable_grad():
            if self._of_model:
                loss = self._loss(self._model)  # type: ignore[misc]  # _of_model says that it is callable
            else:
                with _KeptGraphs():
                    loss = self._closure()
        _scalar(loss)
        if not (isinstance(loss, torch.Tensor) and loss.requires_grad):
            raise InputError(NO_GRAPH)
        return loss


class _KeptGraphs(TorchFunctionMode):  # type: ignore[misc]  # torch is not installed where types are checked
    """Within it, `loss.backward()` keeps the graph, so that it can be gone through once more."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.backward and len(args) < 3:
            kwargs["retain_graph"] = True
        return func(*args, **kwargs)


def _alike(one: Vector | None, other: Vector | None) -> bool:
    if one is None or other is None:
        return True
    with np.errstate(invalid="ignore"):  # where a gradient is not finite, its own check says so
        return not np.abs(one - other).max() > ALIKE * np.abs(other).max() + TINY


def _check_same(of_graph: Vector, of_closure: Vector | None) -> None:
    """Check that the gradient of the loss's graph, which is differentiated, is what the closure left.

    Raises:
        InputError: it is another one: Hessians would be of another function than gradients.
    """
    if not _alike(of_graph, of_closure):
        raise InputError(
            "the gradient that the closure leaves is not that of the loss that it returns (it is of several backward() "
            "calls, clipped, scaled, or of another loss than closure.loss): Hessians need one loss with its whole graph"
        )


def _scalar(loss: Any) -> float:
    """Return a closure's loss as a number.

    Raises:
        InputError: it is not one.
    """
    if isinstance(loss, torch.Tensor) and loss.numel() == 1 and not loss.is_complex():
        return float(loss.detach())
    if isinstance(loss, int | float | np.generic | np.ndarray) and not isinstance(loss, bool) and np.size(loss) == 1:
        return float(np.reshape(loss, ()))
    if isinstance(loss, torch.Tensor):
        what = f"a tensor of shape {tuple(loss.shape)}" if loss.numel() != 1 else "a complex number"
        raise InputError(f"the closure returned {what}, but must return one number: reduce it by .sum() or .mean()")
    raise InputError(f"the closure returned {type(loss).__name__}, but must return the loss: end it with `return loss`")


def _why_no_gradient(*, has_graph: bool) -> str:
    if has_graph:
        return "the closure computed no gradient: call loss.backward() before `return loss`"
    return (
        "the closure's loss does not depend on the optimizer's parameters, or was computed without a graph "
        "(torch.no_grad(), .detach()), or loss.backward() is missing: no parameter has a gradient"
    )


def _finite(derivatives: Vector) -> Vector:
    if not np.isfinite(derivatives).all():
        raise UserCodeError("the second derivatives of the loss are not finite")
    return derivatives
