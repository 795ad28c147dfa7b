"""The base of a model's problem, whatever library the model is of: the loss over a data set's rows of its weights.

Each process has one replica of the model, built from a `Spec` that is small and picklable: a pickled problem does not
hold the model.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from jobs.datasets.rows import RowSource, files_of, identity_of
from jobs.errors import DataError, InputError
from jobs.minimize.problems.base import DEFAULT_BLOCK_ROWS, check_theta

Vector = NDArray[np.float64]
BLOCK_VALUES = 2**22
"""Maximum numbers in a block of x, unless one row has more: bounds the activations of large inputs."""
CACHE_SIZE = 4
"""Maximum replicas in a process: a worker that serves job after job must not hold them all."""


@dataclass(frozen=True)
class Spec:
    """What a replica is built from.

    Attributes:
        code: create_model and loss, as the model's library packs them.
        dtype: 'float32' or 'float64', of the weights and of all computing.
        rows: rows of the whole data.
        x_row, y_row: shapes of one row of the data and of one label.
        y_dtype: NumPy's name of the labels' type.
        classes: labels are 0 .. classes - 1, if known.
    """

    code: bytes
    dtype: str
    rows: int
    x_row: tuple[int, ...]
    y_row: tuple[int, ...]
    y_dtype: str
    classes: int | None


def spec_of(code: bytes, dtype: str, source: RowSource) -> Spec:
    """Return the specification of a replica for some data.

    Raises:
        DataError: the first row cannot be read.
    """
    x, y = (np.asarray(part) for part in source.read(0, 1))
    return Spec(
        code=code,
        dtype=dtype,
        rows=int(source.rows),
        x_row=x.shape[1:],
        y_row=y.shape[1:],
        y_dtype=y.dtype.name,
        classes=getattr(source, "classes", None),
    )


def check_dtype(dtype: str) -> None:
    """Check the type of a model's numbers.

    Raises:
        InputError: it is another one.
    """
    if dtype not in ("float32", "float64"):
        raise InputError(f"dtype is {dtype!r}, but must be 'float32' or 'float64'")


def rows_of_block(given: int | None, x_row: tuple[int, ...]) -> int:
    """Return the rows of a block: as given, or 1,024, or a lower power of two where rows are large.

    Raises:
        InputError: it is no positive integer.
    """
    if given is None:
        fitting = BLOCK_VALUES // max(math.prod(x_row), 1)
        return min(DEFAULT_BLOCK_ROWS, 1 << max(fitting.bit_length() - 1, 0))
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InputError(f"block_rows is {given!r}, but must be a positive integer")
    return given


class ModelReplica(Protocol):
    """One model in one process.

    Attributes:
        frozen: digest of the weights outside theta.
        shapes: name and shape of each variable in theta, in theta's order.
    """

    frozen: str

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes."""

    def vector(self) -> Vector:
        """Return the initial weights in theta, (n,) float64."""

    def fingerprint(self) -> str:
        """Return a digest of what the loss depends on beside theta and data."""


R = TypeVar("R", bound=ModelReplica)


class Replicas(dict[Spec, R]):
    """The replicas of a process, of one library.

    Args:
        lock: held while one is built, reentrant.
    """

    def __init__(self, lock: Any) -> None:
        super().__init__()
        self._lock = lock

    def built(self, spec: Spec, build: Callable[[], R]) -> R:
        """Return the replica of a specification, built by the first caller while others wait."""
        replica = self.get(spec)
        if replica is None:
            # Looked up once more under the lock, which another thread may have held to build the same one.
            with self._lock:
                replica = self.get(spec)
                if replica is None:
                    replica = build()
                    for oldest in list(self)[: 1 - CACHE_SIZE]:
                        del self[oldest]
                    self[spec] = replica
        return replica


@dataclass(frozen=True)
class ModelProblem(Generic[R]):
    """A model's loss as a problem (see `jobs.minimize.Problem`), small when pickled.

    Its methods may be called from several threads at once; they share the process's one replica.

    Attributes:
        spec: the specification of the replica.
        data: the source of the rows.
        block_rows: rows of one block.
        frozen: digest of the weights outside theta, the same in every process.
    """

    spec: Spec
    data: RowSource
    block_rows: int
    frozen: str

    @abstractmethod
    def _replica(self) -> R:
        """Return this process's replica."""

    @property
    def rows(self) -> int:
        """Number of rows of the data."""
        return self.spec.rows

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Name and shape of each trainable variable, in theta's order."""
        return self._replica().shapes

    def x0(self) -> Vector:
        """Return the initial weights of `create_model` under seed 0, (n,) float64."""
        return self._replica().vector()

    def penalized(self) -> NDArray[np.bool_]:
        """Return which entries L1 and L2 act on, (n,) bool: variables of two dimensions or more, such as kernels."""
        return np.concatenate([np.full(math.prod(shape), len(shape) >= 2) for _, shape in self.shapes])

    def files(self) -> list[str]:
        """Return the paths or URLs of the data's files, if the data name any."""
        return files_of(self.data)

    def fingerprint(self) -> str:
        """Return the identity of model, loss and data; another version of the library may give another."""
        identity = (
            self.spec.dtype,
            self.spec.rows,
            self.block_rows,
            self._replica().fingerprint(),
            identity_of(self.data),
        )
        return hashlib.blake2b(repr(identity).encode(), digest_size=16).hexdigest()

    def arrays(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return rows start .. stop - 1: x times the data's scale, in `dtype`, and y as it is.

        Raises:
            DataError: the data gave another number of rows, or labels that the first one's type does not hold.
        """
        x, y = self.data.read(start, stop)
        if not len(x) == len(y) == stop - start:
            raise DataError(f"data.read({start}, {stop}) returned {len(x)} rows of x and {len(y)} of y")
        scaled: NDArray[Any] = np.multiply(x, getattr(self.data, "scale", 1), dtype=self.spec.dtype)
        given = np.asarray(y)
        labels = given.astype(self.spec.y_dtype, copy=False)
        if labels.dtype != given.dtype and not np.array_equal(labels, given):
            raise DataError(
                f"labels of rows {start:,} to {stop - 1:,} are {given.dtype}, but the first row's is {labels.dtype}, "
                "which does not hold them: give all labels one type"
            )
        return scaled, labels

    def weights(self, theta: Vector) -> Vector:
        """Return theta after checking it.

        Raises:
            InputError: it is not a finite vector (n,).
        """
        return check_theta("theta", theta, sum(math.prod(shape) for _, shape in self.shapes))
