"""scikit-learn's estimators over the shipped models: `fit`, `predict`, `score`, in pipelines and searches.

Without `client` they compute in this process; with one, on its workers, and Dask's collections are taken as they are.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import dask
import numpy as np
from numpy.typing import NDArray

from jobs.datasets.memory.of_arrays import from_arrays
from jobs.datasets.memory.of_dask import from_dask
from jobs.errors import InputError
from jobs.minimize import logistic, poisson, softmax, squared
from jobs.minimize.objective import Objective
from jobs.minimize.optimize.methods import find
from jobs.minimize.optimize.minimize import minimize
from jobs.minimize.problems.regression import predicted

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import accuracy_score, d2_tweedie_score, r2_score
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise InputError(f"jobs.minimize.estimators needs scikit-learn ({error}): pip install '.[sklearn]'") from error

__all__ = ["LinearRegressor", "LogisticClassifier", "PoissonRegressor", "SoftmaxClassifier"]
Vector = NDArray[np.float64]


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """What all estimators share.

    Args:
        l2: adds l2 / 2 * the sum of squares of the weights to the loss, which is a sum over rows.
        l1: adds l1 * the sum of absolute weights; with L-BFGS-B alone.
        method: SciPy's.
        max_iter: maximum iterations.
        tol: tolerance, as `scipy.optimize.minimize` takes it.
        dtype: 'float64' or 'float32': what products are computed in.
        client: a Dask client, on whose workers it is fitted; it is not part of clones and pickles.

    Attributes:
        coef_: the weights.
        intercept_: the biases.
        n_iter_: iterations.
        result_: SciPy's result.
    """

    _model: ClassVar[Any]

    def __init__(
        self,
        l2: float = 0.0,
        *,
        l1: float = 0.0,
        method: str = "L-BFGS-B",
        max_iter: int = 1000,
        tol: float | None = 1e-10,
        dtype: str = "float64",
        client: Any = None,
    ) -> None:
        self.l2 = l2
        self.l1 = l1
        self.method = method
        self.max_iter = max_iter
        self.tol = tol
        self.dtype = dtype
        self.client = client

    def __sklearn_clone__(self) -> Self:
        """Return an estimator with the same parameters but the client: clones are fitted in other processes."""
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "client"}
        return type(self)(**{name: clone(value, safe=False) for name, value in parameters.items()})

    def __getstate__(self) -> dict[str, Any]:
        """Leave the client out: it is a connection."""
        return {**super().__getstate__(), "client": None}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803  scikit-learn's name
        """Fit the model to rows X, (rows, features), dense or sparse, and y, (rows,).

        Raises:
            ValueError: as scikit-learn's own estimators.
            JobError: the data, or the cluster, cannot be used.
        """
        with self._source(X, y, sample_weight) as source:
            problem = self._model.problem(source, dtype=self.dtype)
            with Objective(self.client, problem, l2=self.l2) as objective:
                limit = {find(self.method).iterations: self.max_iter}
                self.result_ = minimize(objective, method=self.method, tol=self.tol, l1=self.l1, options=limit)
        if not self.result_.success:
            warnings.warn(f"not converged: {self.result_.message}", ConvergenceWarning, stacklevel=2)
        self.n_iter_ = int(self.result_.get("nit", self.result_.nfev))
        self._set(np.asarray(self.result_.x, np.float64))
        return self

    @contextlib.contextmanager
    def _source(self, x: Any, y: Any, weights: Any) -> Iterator[Any]:
        """Yield the source of the rows."""
        if dask.is_dask_collection(x):
            if self.client is None:
                raise InputError("X is a Dask collection: give the estimator the client of its workers (client=)")
            self.n_features_in_ = int(x.shape[1])
            self._learn_targets(np.asarray(_distinct(y)))
            with self.client.as_current():
                yield from_dask(x, y, weights)
            return
        # y as it is: of classes it may be text.
        x, y = validate_data(
            self, x, y, accept_sparse="csr", dtype=[np.float64, np.float32], y_numeric=isinstance(self, RegressorMixin)
        )
        if weights is not None:
            weights = _check_sample_weight(weights, x, ensure_non_negative=True)
        yield from_arrays(x, self._learn_targets(np.asarray(y)), weights)

    def _learn_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """Check y, which may be its distinct values alone, learn what must be known of it, and return it."""
        return y

    def _set(self, theta: Vector) -> None:
        self.coef_: Vector = theta[:-1]
        self.intercept_: Any = float(theta[-1])

    def _outputs(self, X: Any) -> Any:  # noqa: N803
        """Return the model's outputs for rows."""
        check_is_fitted(self)
        if dask.is_dask_collection(X):
            array = X.to_dask_array() if hasattr(X, "to_dask_array") else X
            array = array.rechunk({1: -1})
            alone = self._without_client()
            some = alone._outputs(np.zeros((1, self.n_features_in_)))  # noqa: SLF001  its own
            more = {"chunks": (array.chunks[0], (some.shape[1],))} if some.ndim == 2 else {"drop_axis": 1}
            return array.map_blocks(alone._outputs, dtype=some.dtype, **more)  # noqa: SLF001
        rows = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        return self._of_rows(rows)

    def _without_client(self) -> Self:
        alone = type(self)()
        alone.__dict__.update(self.__getstate__())
        return alone

    def _of_rows(self, rows: Any) -> Vector:
        name = self._model.__name__.rpartition(".")[2]
        return predicted(name, np.append(self.coef_.ravel(), self.intercept_), rows)


class _Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Estimators whose y are classes.

    Attributes:
        classes_: the distinct values of y, in ascending order.
    """

    def _learn_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]!r}, but a classifier needs two or more classes")
        return np.asarray(codes)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Return the probability of each class, (rows, classes)."""
        return self._outputs(X)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the most likely class of each row, (rows,)."""
        found = self._outputs(X)
        if dask.is_dask_collection(found):
            return found.argmax(axis=1).map_blocks(lambda codes: self.classes_[codes], dtype=self.classes_.dtype)
        return self.classes_[found.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return the accuracy."""
        return float(accuracy_score(np.asarray(y), np.asarray(self.predict(X)), sample_weight=_here(sample_weight)))


class SoftmaxClassifier(_Classifier):
    """Softmax (multinomial logistic) regression: coef_ (classes, features), intercept_ (classes,)."""

    _model: ClassVar[Any] = softmax

    def _set(self, theta: Vector) -> None:
        count = len(self.classes_)
        self.coef_ = theta[:-count].reshape(count, -1)
        self.intercept_ = theta[-count:]

    def _of_rows(self, rows: Any) -> Vector:
        theta = np.concatenate([self.coef_.ravel(), self.intercept_])
        return softmax.probabilities(theta, rows, len(self.classes_))


class LogisticClassifier(_Classifier):
    """Logistic regression of two classes: coef_ (1, features), intercept_ (1,)."""

    _model: ClassVar[Any] = logistic

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _learn_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        codes = super()._learn_targets(y)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(y)}; "
                "SoftmaxClassifier takes more classes"
            )
        return codes

    def _set(self, theta: Vector) -> None:
        self.coef_, self.intercept_ = theta[None, :-1], theta[-1:]


class _Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Estimators whose y are numbers: coef_ (features,), intercept_ a number."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return what is expected of each row, (rows,)."""
        return self._outputs(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return R^2, the share of y's variance that is explained."""
        return float(r2_score(np.asarray(y), np.asarray(self.predict(X)), sample_weight=_here(sample_weight)))


class LinearRegressor(_Regressor):
    """Linear regression by least squares, ridge regression with l2, the lasso with l1."""

    _model: ClassVar[Any] = squared


class PoissonRegressor(_Regressor):
    """Poisson regression of counts."""

    _model: ClassVar[Any] = poisson

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _learn_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        if (y < 0).any():
            raise ValueError("y has negative values, but Poisson regression needs counts >= 0")
        return y

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """Return D^2, the share of the Poisson deviance that is explained."""
        weights = _here(sample_weight)
        return float(d2_tweedie_score(np.asarray(y), np.asarray(self.predict(X)), sample_weight=weights, power=1))


def _distinct(y: Any) -> Any:
    """Return the distinct values of a Dask collection."""
    import dask.array as da

    return np.sort(np.asarray(y.unique().compute())) if hasattr(y, "unique") else da.unique(y).compute()


def _here(weights: Any) -> Any:
    return None if weights is None else np.asarray(weights)
