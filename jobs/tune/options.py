"""The options of the tune job."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from jobs.command_line.option_help import COMPUTE, END, RUNS, OptionHelp
from jobs.errors import argument
from jobs.formatting import given
from jobs.options import JobOptions, read_scalar

SEARCH = "how to search"
FAILURES = 20
"""Maximum failed trials where the options have no other."""
Direction = Literal["maximize", "minimize"]


class Options(JobOptions):
    """Find good hyperparameters: run a function of them many times on all workers, and stop hopeless trials early.

    A trial is one call of the function. Nothing is lost when a worker or the driver dies.

    Examples:
      dask-jobs tune --run runs/cnn
      dask-jobs tune --objective my_model:train --space space.yaml --run runs/search
      dask-jobs tune --objective my_model:train --space space.yaml --trials 200 --sampler tpe --pruner median
      dask-jobs tune --config job.yaml --run s3://bucket/study
    """

    model_config = ConfigDict(allow_inf_nan=False)
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("accept_new_code", "retry")
    RESUMES: ClassVar[tuple[str, ...]] = ("accept_new_code", "retry")

    objective: Annotated[str, OptionHelp(COMPUTE, "module:function")] = Field(
        default="jobs.tune.cnn:train",
        description="module:function or file.py:function; the function takes the hyperparameters, a dict, and "
        "optionally the trial, and returns a score or a dict of metrics; the default trains a small "
        "network on the shipped digits",
    )
    space: Annotated[str | dict[str, Any] | None, OptionHelp(COMPUTE, "PATH", path=True)] = Field(
        default=None,
        description="YAML file of the hyperparameters: lines like 'dropout: {uniform: [0, 1]}' with uniform, log, "
        "integer or choice; in a --config file also the lines themselves (default: SPACE of the objective's module)",
    )
    enqueue: Annotated[str | list[dict[str, Any]] | None, OptionHelp(SEARCH, "PATH", path=True)] = Field(
        default=None,
        description="YAML or JSON file of hyperparameters that run first, lines like '- {dropout: 0.5}', each of a "
        "trial, whose others the sampler proposes; in a --config file also the list itself",
    )
    fixed: Annotated[dict[str, Any], OptionHelp(COMPUTE)] = Field(
        default_factory=dict,
        description="constants passed to every trial beside its hyperparameters: --fixed epochs=20 "
        "--fixed data=idx:/data/mnist",
    )
    metric: Annotated[list[str], OptionHelp(COMPUTE, "NAME,...")] = Field(
        default_factory=list,
        description="which metric of the returned dict is the objective, or several of them",
    )
    direction: Annotated[list[Direction], OptionHelp(COMPUTE)] = Field(
        default=["maximize"], description="maximize or minimize; with several metrics one per metric"
    )
    constraints: Annotated[list[str], OptionHelp(COMPUTE, "NAME,...")] = Field(
        default_factory=list, description="metrics that must be <= 0 in a trial that counts as best"
    )
    trials: Annotated[PositiveInt, OptionHelp(END)] = Field(
        default=100, description="trials of the study, all attempts together"
    )
    sampler: Annotated[Literal["random", "grid", "qmc", "tpe", "gp", "cmaes", "nsgaii"], OptionHelp(SEARCH, "NAME")] = (
        Field(default="random", description="the algorithm that proposes hyperparameters")
    )
    sampler_options: Annotated[dict[str, Any], OptionHelp(SEARCH)] = Field(
        default_factory=dict, description="arguments of Optuna's sampler; for grid: points=5 per dimension"
    )
    pruner: Annotated[
        Literal["asha", "median", "percentile", "hyperband", "patient", "threshold", "none"] | None,
        OptionHelp(SEARCH, "NAME"),
    ] = Field(
        default=None,
        description="the algorithm that prunes trials by their reports (default: asha, with several metrics none)",
    )
    pruner_options: Annotated[dict[str, Any], OptionHelp(SEARCH)] = Field(
        default_factory=dict, description="arguments of Optuna's pruner: --pruner-options reduction_factor=3"
    )
    seed: Annotated[NonNegativeInt, OptionHelp(SEARCH)] = Field(
        default=0, description="seed of the sampler, and of each trial's own seed"
    )
    max_seconds: Annotated[PositiveFloat | None, OptionHelp(END, "SECONDS")] = Field(
        default=None, description="seconds after which the search ends with what it has, all attempts together"
    )
    target: Annotated[float | None, OptionHelp(END, "SCORE")] = Field(
        default=None, description="score at which the search ends"
    )
    patience: Annotated[PositiveInt | None, OptionHelp(END)] = Field(
        default=None, description="trials without a better score after which the search ends"
    )
    trial_timeout: Annotated[PositiveFloat | None, OptionHelp(RUNS, "SECONDS")] = Field(
        default=None, description="seconds after which a trial is stopped and counts as failed"
    )
    max_failures: Annotated[NonNegativeInt | None, OptionHelp(END)] = Field(
        default=None,
        description="maximum failed trials per attempt; one more ends the job with exit code 1 (default: 20; and the "
        "first 3, or as many as workers, end it too if all of them fail with one type of exception)",
    )
    max_losses: Annotated[PositiveInt, OptionHelp(END)] = Field(
        default=3, description="maximum workers lost by a trial in quarantine, alone on each; then the trial is failed"
    )
    threads_per_trial: Annotated[PositiveInt, OptionHelp(RUNS)] = Field(
        default=1, description="compute threads per trial"
    )
    gpus_per_trial: Annotated[NonNegativeFloat, OptionHelp(RUNS, "GPUS")] = Field(
        default=0.0,
        description="GPUs per trial; its worker must declare them as Dask's resource GPU; a worker that is started on "
        "this machine has so many of its own, and no others are visible to it",
    )
    isolate: Annotated[bool, OptionHelp(RUNS)] = Field(
        default=False, description="run each trial in a subprocess of its own, so that all its memory is released"
    )
    accept_new_code: Annotated[bool, OptionHelp(RUNS)] = Field(
        default=False,
        description="resume though the objective's source has changed; the table then shows the code of each trial",
    )

    retry: Annotated[Literal["failed"] | None, OptionHelp(RUNS)] = Field(
        default=None,
        description="failed: run the trials of this run folder that have failed again, with the same numbers and "
        "hyperparameters, after their cause was mended (of changed code with --accept-new-code)",
    )

    @field_validator("metric", "direction", "constraints", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Convert a text to the list of its names."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("fixed", "sampler_options", "pruner_options", mode="after")
    @classmethod
    def _scalars(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Read the command line's texts as YAML does, so that 3 is a number and true a boolean."""
        return {key: read_scalar(value) if isinstance(value, str) else value for key, value in options.items()}

    @field_validator("fixed", mode="after")
    @classmethod
    def _check_fixed(cls, fixed: dict[str, Any]) -> dict[str, Any]:
        """Refuse values that the journal, which is JSON, cannot hold, such as YAML's dates."""
        for name, value in fixed.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{argument('fixed')} {name} is {given(value)}, but must be a number, a text, true, false or null"
                ) from error
        return fixed

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        """Refuse options that would not be read, or cannot work."""
        metric, constraints = argument("metric"), argument("constraints")
        if not all([*self.metric, *self.constraints]):
            raise ValueError(f"{metric} and {constraints} must be names, and one of them is empty; remove it")
        if self.constraints and not self.metric:
            raise ValueError(f"{constraints} is given without {metric}; say which metric of the dict is the objective")
        if len(self.direction) != max(1, len(self.metric)):
            raise ValueError(
                f"{argument('direction')} is {','.join(self.direction)!r}, but must be one for each of "
                f"{len(self.metric) or 1} objectives ({metric})"
            )
        if len({*self.metric, *self.constraints}) < len(self.metric) + len(self.constraints):
            raise ValueError(f"{metric} and {constraints} name the same metric twice")
        if len(self.metric) > 1:
            self._several(f"with several {metric}")
        return self

    def _several(self, several: str) -> None:
        if self.pruner not in (None, "none"):
            raise ValueError(f"{argument('pruner')} is {self.pruner!r}, but {several} only none works")
        for name in ("target", "patience"):
            if (value := getattr(self, name)) is not None:
                raise ValueError(f"{argument(name)} is {value:g}, but {several} there is no single best")
        if self.sampler == "cmaes":
            raise ValueError(
                f"{argument('sampler')} cmaes takes one {argument('metric')}; take nsgaii, tpe or random for several"
            )

    @property
    def failures(self) -> int:
        """The maximum of failed trials, the default one too."""
        return FAILURES if self.max_failures is None else self.max_failures

    @property
    def prunes(self) -> str:
        """The pruner's name, the default one too."""
        return self.pruner or ("none" if len(self.metric) > 1 else "asha")
