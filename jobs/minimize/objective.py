"""The objective: a plain callable that SciPy minimizes, summed over data that live on the workers."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from jobs.datasets.memory.serving import serving
from jobs.errors import InputError, argument
from jobs.formatting import plural
from jobs.minimize import scores
from jobs.minimize.evaluate.by_futures.futures import FuturesEvaluator
from jobs.minimize.evaluate.by_messages.distributed import DaskEvaluator
from jobs.minimize.evaluate.check import Finding
from jobs.minimize.evaluate.evaluator import Evaluator, SerialEvaluator
from jobs.minimize.evaluate.penalty import penalty
from jobs.minimize.evaluate.request import Kind, OnNan, Request
from jobs.minimize.journal import Journal
from jobs.minimize.journal_log import Record
from jobs.minimize.problems import base as problems
from jobs.minimize.problems.identity import expected, fingerprint
from jobs.sharding.blocks import Blocks

Vector = NDArray[np.float64]
EVALUATORS: dict[str, Callable[..., Evaluator]] = {"messages": DaskEvaluator, "futures": FuturesEvaluator}
BATCH_BYTES = 32 << 20
"""Maximum bytes of a finite difference's points in one message."""
EVALUATION = "_of_an_evaluation"
"""Attribute of an exception that an evaluation raised, below SciPy's optimizer."""


def is_of_evaluation(error: BaseException) -> bool:
    """Return whether an exception was raised by an evaluation, and not by SciPy's checks of its options."""
    return hasattr(error, EVALUATION)


@contextlib.contextmanager
def _marking_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # SciPy rejects options by TypeError and ValueError, too: only this mark tells the user's errors, which pass
        # through SciPy unchanged, from those.
        setattr(error, EVALUATION, True)
        raise


class Objective:
    """Loss and gradient of a problem, as `scipy.optimize` takes them, for data that are spread over a cluster.

    `objective(theta)` returns (loss, gradient); `objective.loss`, `.grad`, `.hessp` and `.hess` are for interfaces
    that take them apart. They share a memo of the last theta, so that both together cost one pass over the data.
    Without `client` everything is computed in this process, with the same bits.

    Args:
        client: a synchronous Dask client, or None.
        problem: an object as `jobs.minimize.Problem` describes, "module:factory", or a result of `load_problem`.
        l2: adds l2 / 2 * ||theta||^2 over the problem's penalized entries.
        on_nan: 'fail', or 'inf': a block whose loss or gradient is NaN makes the loss infinite. Where that happens the
            callable returns a penalty, so that a line search backs off, see `jobs.minimize.evaluate.penalty`.
        evaluator: 'messages' or 'futures': how requests reach the workers of `client`, see `DaskEvaluator` and
            `FuturesEvaluator`; the bits are the same.
        options: of the evaluator: workers_timeout, timeout, poll.

    Attributes:
        journal: replays and records answers; None for neither.
        on_evaluation: called with theta, loss, gradient (None if there is none) and the run's seconds after each
            evaluation.

    Raises:
        InputError: the problem breaks its contract, or a worker cannot import it.
        UserCodeError: the problem's own code raised.
    """

    def __init__(
        self,
        client: Client | None,
        problem: Any,
        *,
        l2: float = 0.0,
        on_nan: OnNan = "fail",
        evaluator: Literal["messages", "futures"] = "messages",
        **options: Any,
    ) -> None:
        made = problem if isinstance(problem, problems.CheckedProblem) else problems.load_problem(problem)
        self.problem, self._x0 = made.problem, made.x0
        _check(l2, evaluator)
        self.n = self._x0.size
        self.rows = problems.rows(self.problem)
        self._kind: Kind = "value_and_grad" if problems.has(self.problem, "value_and_grad") else "value"
        self._l2 = l2 * problems.penalized(self.problem, self.n) if l2 else None
        blocks = Blocks(self.rows, problems.block_rows(self.problem))
        here = expected(made)
        what = (made.code, here, blocks, on_nan)
        with contextlib.ExitStack() as opening:
            opening.enter_context(serving(client, self.problem if made.code.spec is None else None))
            self.sum: Evaluator = (
                EVALUATORS[evaluator](client, *what, **options) if client else SerialEvaluator(*what, **options)
            )
            self._open = opening.pop_all()
        self._made, self._expected = made, here
        self.journal: Journal | None = None
        self._clock, self._seconds = time.perf_counter(), 0.0
        self._memo: dict[bytes, Vector] = {}
        self._on_nan = on_nan
        self._best: tuple[Vector, Vector] | None = None
        self.on_evaluation: Callable[[Vector, float, Vector | None, float], None] | None = None

    def __repr__(self) -> str:
        """Return the problem's class, its sizes, and where it is computed."""
        where = f"on {plural(self.sum.workers, 'worker')}" if self.sum.workers else "in this process"
        size = f"{plural(self.n, 'parameter')}, {plural(self.rows, 'row')}"
        return f"<Objective of {type(self.problem).__name__}: {size}, {where}>"

    @functools.cached_property
    def identity(self) -> dict[str, str]:
        """The problem's identity, name -> value."""
        return fingerprint(self._made, self._expected)

    @property
    def has_gradient(self) -> bool:
        """Whether the problem has value_and_grad."""
        return self._kind == "value_and_grad"

    @property
    def has_hessp(self) -> bool:
        """Whether the problem has hessp."""
        return problems.has(self.problem, "hessp")

    @property
    def has_hess(self) -> bool:
        """Whether the problem has hess."""
        return problems.has(self.problem, "hess")

    def x0(self) -> Vector:
        """Return the problem's start, (n,) float64, a new array each time."""
        return self._x0.copy()

    def __call__(self, theta: Vector) -> tuple[float, Vector]:
        """Return the loss and its gradient (n,) float64 at `theta` (n,).

        Raises:
            InputError: theta has another size, or the problem has no gradient.
            UserCodeError: the problem failed on a block.
            ClusterError: the cluster is gone.
        """
        if not self.has_gradient:
            raise InputError(
                "the problem has no value_and_grad; use objective.loss with a method that needs no gradient"
            )
        packed = self._at(theta)
        return float(packed[0]), packed[1:].copy()

    def loss(self, theta: Vector) -> float:
        """Return the loss at `theta` (n,)."""
        return float(self._at(theta)[0])

    def grad(self, theta: Vector) -> Vector:
        """Return the gradient (n,) at `theta` (n,)."""
        return self(theta)[1]

    def hessp(self, theta: Vector, v: Vector) -> Vector:
        """Return the Hessian's product with `v`, (n,) float64."""
        theta, v = self._vector(theta), self._vector(v)
        product = self._answer(Request("hessp", theta[None], v))
        return product if self._l2 is None else product + self._l2 * v

    def hess(self, theta: Vector) -> Vector:
        """Return the Hessian, (n, n) float64."""
        matrix = self._answer(Request("hess", self._vector(theta)[None])).reshape(self.n, self.n).copy()
        if self._l2 is not None:
            matrix[np.diag_indices(self.n)] += self._l2
        return matrix

    def accuracy(self, theta: Vector) -> float | None:
        """Return the fraction of the fitted rows that are predicted right at `theta` (n,); None without `correct`.

        It is not recorded in the journal, which holds the optimizer's evaluations.
        """
        return scores.accuracy(self.sum, self.problem, self._vector(theta))

    def validation(self, theta: Vector) -> dict[str, Any] | None:
        """Return rows, mean loss and accuracy of the rows held out, at `theta` (n,); None if none are."""
        return scores.validation(self.sum, self.problem, self._vector(theta))

    def fitted_rows(self, theta: Vector) -> int:
        """Return how many rows are fitted: all but those that are held out."""
        return scores.fitted_rows(self.sum, self.problem, self._vector(theta))

    def check(self, start: Vector | None = None) -> list[Finding]:
        """Return what is found of the problem's contract on its first rows: sums, equal bits, derivatives.

        Args:
            start: (n,), near which; the problem's own if None.
        """
        return self.sum.check(self._x0 if start is None else self._vector(start))

    def map(self, function: Callable[[Vector], Any], thetas: Iterable[Vector]) -> list[Any]:
        """Apply SciPy's function to many points, all of them evaluated together; this is SciPy's map-like `workers`."""
        points = [np.array(theta, dtype=np.float64) for theta in thetas]
        batch = max(1, BATCH_BYTES // (8 * self.n))
        results = []
        for start in range(0, len(points), batch):
            some = points[start : start + batch]
            self._evaluate(some)
            results += [function(point) for point in some]
        return results

    def close(self) -> None:
        """Release the workers' data."""
        self.sum.close()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _vector(self, theta: Any) -> Vector:
        vector = np.asarray(theta, dtype=np.float64)
        if vector.shape != (self.n,):
            raise InputError(f"theta has shape {vector.shape}, but must have ({self.n},)")
        return vector

    def _at(self, theta: Vector) -> Vector:
        """Return (loss, gradient) as one vector, from the memo if theta is among the last evaluated ones."""
        theta = self._vector(theta)
        key = theta.tobytes()  # by bits: SciPy changes its vector in place between calls
        if key not in self._memo:
            self._evaluate([theta])
        return self._memo[key]

    @_marking_errors()
    def _evaluate(self, thetas: Sequence[Vector]) -> None:
        """Evaluate points in one round trip and make them the memo."""
        keys = list(dict.fromkeys(theta.tobytes() for theta in thetas))
        request = Request(self._kind, np.array([np.frombuffer(key) for key in keys]))
        packed = self._answer(request).reshape(len(keys), -1)
        self._memo = {}
        for key, theta, row in zip(keys, request.thetas, packed, strict=True):
            regularized = self._regularized(theta, row)
            if self.on_evaluation:
                grad = regularized[1:] if self.has_gradient else None
                self.on_evaluation(theta, float(regularized[0]), grad, self._seconds)
            self._memo[key] = self._penalized_value(theta, regularized)

    def _regularized(self, theta: Vector, packed: Vector) -> Vector:
        if self._l2 is None:
            return packed
        result = packed.copy()
        result[0] += 0.5 * np.dot(self._l2 * theta, theta)
        if self.has_gradient:
            result[1:] += self._l2 * theta
        return result

    def _penalized_value(self, theta: Vector, packed: Vector) -> Vector:
        """Track the best point; with on_nan 'inf', replace an infinite loss and its gradient by the penalty."""
        if self._best is None or packed[0] < self._best[1][0]:
            self._best = (theta.copy(), packed)
        if self._on_nan == "inf" and self.has_gradient and np.isposinf(packed[0]) and np.isfinite(self._best[1][0]):
            return penalty(theta, *self._best)
        return packed

    @_marking_errors()
    def _answer(self, request: Request) -> Vector:
        """Return the sum over all blocks, from the journal while it has records."""
        if self.journal is None:
            self._seconds = time.perf_counter() - self._clock
            return self.sum(request)
        key = request.key()
        record = self.journal.next(key, request.size, request.sketch)
        if record is None:
            answer = self.sum(request)
            self._seconds = time.perf_counter() - self._clock
            self.journal.append(Record(key, self._seconds, answer, request.sketch()))
            return answer
        # The clock continues from the recorded seconds, as if the run had not been interrupted.
        self._seconds = record.seconds
        self._clock = time.perf_counter() - record.seconds
        return record.answer


def _check(l2: float, evaluator: str) -> None:
    if not (np.isfinite(l2) and l2 >= 0):
        raise InputError(f"{argument('l2')} is {l2!r}, but must be a finite number >= 0")
    if evaluator not in EVALUATORS:
        raise InputError(f"evaluator is {evaluator!r}, but must be one of {', '.join(EVALUATORS)}")
