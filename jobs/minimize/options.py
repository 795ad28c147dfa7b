"""The options of the minimize job."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import yaml
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from jobs.minimize.optimize.methods import METHODS
from jobs.options import JobOptions

Pair = tuple[float | None, float | None]


class Options(JobOptions):
    """Minimize a loss that is a sum over much data, by any of SciPy's optimizers.

    The data are cut into blocks that live on the workers; loss and gradient are summed there, with the same bits for
    any number of workers. A run that was killed goes on where it was.

    Examples:
      dask-jobs minimize --data digits --run runs/digits
      dask-jobs minimize --data idx:/data/mnist --workers 4 --method trust-ncg --l2 1e-4 --run runs/mnist
      dask-jobs minimize --problem my_model:problem --config job.yaml --run s3://bucket/runs/7
      DASK_SCHEDULER_ADDRESS=tcp://host:8786 dask-jobs minimize --data npz:s3://bucket/train.npz --run s3://bucket/runs/8
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("evaluator",)

    data: str | None = Field(
        default=None,
        description="data for softmax regression: digits (shipped), idx:FOLDER (MNIST and its kin, gzipped or not), "
        "npz:FILE or npy:FOLDER with arrays x and y; each local or s3:// (default: digits)",
    )
    problem: str | None = Field(
        default=None, description="your own problem instead: module:function, a function that returns it"
    )
    classes: PositiveInt | None = Field(default=None, description="number of classes (default: the largest label + 1)")
    dtype: Literal["float64", "float32"] = Field(
        default="float64", description="what softmax computes in; sums are float64"
    )
    method: str = Field(
        default="L-BFGS-B",
        description=f"SciPy's method: {', '.join(METHODS)}",
        json_schema_extra={"enum": list(METHODS)},
    )
    max_iterations: PositiveInt = Field(default=1000, description="iterations at most (TNC: evaluations)")
    tol: PositiveFloat | None = Field(default=None, description="tolerance, as scipy.optimize.minimize takes it")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="the method's own options, as SciPy names them: --options maxcor=20,ftol=1e-12",
    )
    l2: NonNegativeFloat = Field(default=0.0, description="adds l2/2 * the sum of squares of the weights")
    l1: NonNegativeFloat = Field(default=0.0, description="adds l1 * the sum of absolute weights (L-BFGS-B only)")
    bounds: list[float | Pair | None] | None = Field(
        default=None,
        description="low and high for all parameters, as in --bounds=-1,1, or a list of such pairs, one a parameter, "
        "as in '[[0,1],[0,null]]'",
    )
    x0: str | None = Field(default=None, description=".npy file with the start (default: the problem's)")
    on_nan: Literal["fail", "inf"] = Field(
        default="fail",
        description="what a NaN loss does: fail the job, or count as infinite, so that a line search backs off",
    )
    evaluator: Literal["messages", "futures"] = Field(
        default="messages",
        description="how workers are asked: by messages, the fastest, or by Dask's futures, which its dashboard and "
        "adaptive clusters see; the bits are the same",
    )
    evaluation_timeout: PositiveFloat = Field(default=3600.0, description="seconds that one evaluation may take")
    journal_limit: PositiveFloat = Field(
        default=20.0, description="GiB of journal; past them a restart goes on from the best point instead of exactly"
    )

    @field_validator("options", mode="after")
    @classmethod
    def _numbers(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Read the command line's texts as YAML does, so that 20 and 1e-12 are numbers; nothing else may be text."""
        options = {key: _scalar(value) if isinstance(value, str) else value for key, value in options.items()}
        for key, value in options.items():
            if isinstance(value, str) and key != "factorization_method":
                raise ValueError(f"--options {key} is {value!r}, but must be a number")
        return options

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        """Refuse options that nobody would read."""
        if self.problem is not None:
            unread = {
                "--data": self.data,
                "--classes": self.classes,
                "--dtype": self.dtype if self.dtype != "float64" else None,
            }
            for name, value in unread.items():
                if value is not None:
                    raise ValueError(
                        f"{name} {value} and --problem {self.problem} exclude each other: it loads its own data"
                    )
        if self.workers == 0 and self.threads > 1:
            raise ValueError(f"--threads is {self.threads}, but with --workers 0 all happens on one thread")
        return self


def _scalar(text: str) -> Any:
    try:
        return float(text) if any(letter in text for letter in ".eE") else int(text)
    except ValueError:
        return yaml.safe_load(text)
