"""The options of the minimize job."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from jobs.command_line.option_help import COMPUTE, RESULTS, RUNS, OptionHelp
from jobs.errors import argument
from jobs.formatting import given
from jobs.minimize.optimize.methods import COUNT_EVALUATIONS, METHODS
from jobs.minimize.problems.names import MAX_SEED, ModelName
from jobs.options import SerialJobOptions, is_huge, read_scalar
from jobs.table_options import FeaturesOption, LabelOption, WeightOption, columns_of

METHOD = "how to minimize"
Pair = tuple[float | None, float | None]


class Options(SerialJobOptions):
    """Minimize a loss that is a sum over much data, by any of SciPy's optimizers.

    The data are cut into blocks that live on the workers; loss and gradient are summed there, with the same bits for
    any number of workers. A run that was killed is resumed by the same command.

    Examples:
      dask-jobs minimize --data digits --run runs/digits
      dask-jobs minimize --data idx:/data/mnist --workers 4 --method trust-ncg --l2 1e-4 --run runs/mnist
      dask-jobs minimize --data npz:visits.npz --model poisson --validation 0.2 --run runs/visits
      dask-jobs minimize --data parquet:s3://bucket/churn/ --label churned --features age,visits,plan --run runs/churn
      dask-jobs minimize --problem my_model:problem --config job.yaml --run s3://bucket/runs/7
      DASK_SCHEDULER_ADDRESS=tcp://host:8786 dask-jobs minimize --data npz:s3://bucket/train.npz --run s3://bucket/runs/8
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("evaluator", "check")

    data: Annotated[str | None, OptionHelp(COMPUTE, "DATA")] = Field(
        default=None,
        description="data for a shipped model: digits (shipped), idx:FOLDER (MNIST and its kin, gzipped or not), "
        "npz:FILE or npy:FOLDER with arrays x and y, parquet:PATH or csv:PATH with --label; each local or s3:// "
        "(default: digits)",
    )
    label: LabelOption = None
    features: FeaturesOption = None
    weight: WeightOption = None
    problem: Annotated[str | None, OptionHelp(COMPUTE, "module:function")] = Field(
        default=None, description="your own problem instead: module:function or file.py:function, which returns it"
    )
    model: Annotated[ModelName, OptionHelp(COMPUTE)] = Field(
        default="softmax",
        description="what is fitted to the data: softmax (classes), logistic (two classes), poisson (counts) or "
        "squared (numbers)",
    )
    classes: Annotated[PositiveInt | None, OptionHelp(COMPUTE)] = Field(
        default=None, description="number of classes (default: the largest label + 1, of a table its different labels)"
    )
    dtype: Annotated[Literal["float64", "float32"], OptionHelp(COMPUTE)] = Field(
        default="float64", description="what the model computes in; sums are float64"
    )
    validation: Annotated[float | None, OptionHelp(COMPUTE, "SHARE")] = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of the data's rows that is held out; the result has the loss and the accuracy on them",
    )
    validation_seed: Annotated[int, OptionHelp(COMPUTE)] = Field(
        default=0, ge=0, lt=MAX_SEED, description="another number holds out other rows"
    )
    method: Annotated[str, OptionHelp(METHOD, "NAME")] = Field(
        default="L-BFGS-B",
        description=f"SciPy's method: {', '.join(METHODS)}",
        json_schema_extra={"enum": list(METHODS)},
    )
    max_iterations: Annotated[PositiveInt, OptionHelp(METHOD)] = Field(
        default=1000, description=f"maximum iterations ({', '.join(COUNT_EVALUATIONS)}: evaluations)"
    )
    tol: Annotated[PositiveFloat | None, OptionHelp(METHOD)] = Field(
        default=None, description="tolerance, as scipy.optimize.minimize takes it"
    )
    options: Annotated[dict[str, Any], OptionHelp(METHOD)] = Field(
        default_factory=dict,
        description="the method's own options, as SciPy names them: --options maxcor=20,ftol=1e-12",
    )
    l2: Annotated[NonNegativeFloat, OptionHelp(COMPUTE)] = Field(
        default=0.0, description="adds l2/2 * the sum of squares of the weights"
    )
    l1: Annotated[NonNegativeFloat, OptionHelp(COMPUTE)] = Field(
        default=0.0, description="adds l1 * the sum of absolute weights (L-BFGS-B only)"
    )
    bounds: Annotated[list[float | Pair | None] | None, OptionHelp(COMPUTE, "LOW,HIGH")] = Field(
        default=None,
        description="low and high for all parameters, as in --bounds=-1,1, or a list of such pairs, one per parameter, "
        "as in '[[0,1],[0,null]]'",
    )
    x0: Annotated[str | None, OptionHelp(METHOD, "PATH", path=True)] = Field(
        default=None, description=".npy file with the starting point (default: the problem's)"
    )
    on_nan: Annotated[Literal["fail", "inf"], OptionHelp(METHOD)] = Field(
        default="fail",
        description="what a NaN loss does: fail the job, or count as infinite, so that a line search backs off",
    )
    evaluator: Annotated[Literal["messages", "futures"], OptionHelp(RUNS)] = Field(
        default="messages",
        description="how evaluations reach the workers: by messages, the fastest, or by Dask's futures, visible to its "
        "dashboard and to adaptive clusters; the bits are the same",
    )
    check: Annotated[bool, OptionHelp(COMPUTE)] = Field(
        default=True,
        description="check at the start, on a few rows, that the problem's losses are sums, the same each time, with "
        "the right derivatives",
    )
    evaluation_timeout: Annotated[PositiveFloat, OptionHelp(RUNS, "SECONDS")] = Field(
        default=3600.0, description="maximum seconds of one evaluation"
    )
    journal_limit: Annotated[PositiveFloat, OptionHelp(RESULTS, "GIB")] = Field(
        default=20.0,
        description="maximum GiB of the journal; beyond them the next attempt starts from the best point "
        "(a warm start) instead of resuming exactly",
    )

    @field_validator("options", mode="after")
    @classmethod
    def _numbers(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Read the command line's texts as YAML does, so that 20 and 1e-12 are numbers; nothing else may be text."""
        options = {key: read_scalar(value) if isinstance(value, str) else value for key, value in options.items()}
        for key, value in options.items():
            if is_huge(value) or (isinstance(value, str) and key != "factorization_method"):
                raise ValueError(f"{argument('options', key)} is {given(value)}, but must be a number")
        return options

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        """Reject options that would not be read."""
        if self.problem is not None:
            unread = {
                "data": self.data,
                "classes": self.classes,
                "model": self.model if self.model != "softmax" else None,
                "validation": self.validation,
                "dtype": self.dtype if self.dtype != "float64" else None,
                **columns_of(self),
            }
            for name, value in unread.items():
                if value is not None:
                    both = f"{argument(name)} {value} and {argument('problem')} {self.problem}"
                    raise ValueError(f"{both} exclude each other: it loads its own data")
        return self
