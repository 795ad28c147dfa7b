"""The options of the train job."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from jobs.command_line.option_help import COMPUTE, END, RESULTS, RUNS, OptionHelp
from jobs.errors import argument
from jobs.options import SerialJobOptions, Tracker
from jobs.table_options import FeaturesOption, LabelOption, WeightOption
from jobs.train.loop.saving import Saving

HOW = "how to train"
EXAMPLES = ("digits", "linear")


class TrainingOptions(SerialJobOptions):
    """Options of every job that trains a network."""

    OWN_TRACKERS: ClassVar[tuple[str, ...]] = ("tensorboard",)
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("epochs", "save_every", "step_timeout", "mixed", "restore_best")

    workers: Annotated[int | None, OptionHelp(RUNS)] = Field(
        default=None,
        ge=0,
        description="on this machine: worker processes (default: one per core, at most --parts; 0: no cluster, all in "
        "this process); with a scheduler: how many to wait for (default 1)",
    )
    log: Annotated[list[Tracker], OptionHelp(RESULTS, "TRACKER")] = Field(
        default=["tensorboard"],
        description="trackers that get the run's curves and its end: mlflow, wandb, tensorboard (files in the run "
        "folder), several with commas; each by its own environment variables",
    )
    epochs: Annotated[PositiveInt, OptionHelp(HOW)] = Field(
        default=10, description="passes over the data; a run may be given more"
    )
    parts: Annotated[PositiveInt | Literal["workers"], OptionHelp(HOW, "N|workers")] = Field(
        default=8,
        description="logical parts of a step, at least as many as workers; workers: one per worker, the fastest, "
        "fixed at the run's start",
    )
    seed: Annotated[NonNegativeInt, OptionHelp(HOW)] = Field(
        default=0, lt=2**31, description="of initial weights, shuffles and random layers"
    )
    wire: Annotated[Literal["full", "bfloat16"], OptionHelp(HOW)] = Field(
        default="full", description="precision of gradients between workers; bfloat16 halves the bytes"
    )
    on_nan: Annotated[Literal["fail", "skip"], OptionHelp(HOW)] = Field(
        default="fail", description="what a loss that is not finite does: fail the job, or skip the step"
    )
    early_stopping: Annotated[PositiveInt | None, OptionHelp(END, "EPOCHS")] = Field(
        default=None, description="end after so many epochs without a lower loss (of validation, if there is one)"
    )
    restore_best: Annotated[bool, OptionHelp(END)] = Field(
        default=False,
        description="end with the weights of the epoch of lowest loss (of validation, if there is one), not the last",
    )
    reduce_on_plateau: Annotated[PositiveInt | None, OptionHelp(HOW, "EPOCHS")] = Field(
        default=None, description="divide the learning rate by 10 after so many epochs without a lower loss"
    )
    step_timeout: Annotated[PositiveFloat, OptionHelp(RUNS, "SECONDS")] = Field(
        default=600.0, description="seconds that a step waits for a worker, which then counts as lost"
    )
    mixed: Annotated[bool, OptionHelp(RUNS)] = Field(
        default=False,
        description="admit workers whose processors or libraries compute other bits, and give up equal bits",
    )
    save_every: Annotated[str, OptionHelp(RESULTS, "STEPS|SECONDS")] = Field(
        default="60s",
        description="period of checkpoints: 200 steps, or 60s",
        json_schema_extra={"type": ["integer", "string"]},
    )

    @field_validator("save_every", mode="before")
    @classmethod
    def _period(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and not re.fullmatch(r"[1-9]\d*|(\d+\.?\d*|\.\d+)s", value):
            raise ValueError(
                f"{argument('save_every')} is {value!r}, but must be a number of steps, such as 200, or seconds: 60s"
            )
        return value

    @property
    def saving(self) -> Saving:
        """When checkpoints are written."""
        seconds = self.save_every.endswith("s")
        if seconds:
            return Saving(seconds=float(self.save_every[:-1]), restore_best=self.restore_best)
        return Saving(steps=int(self.save_every), restore_best=self.restore_best)


class Options(TrainingOptions):
    """Train a Keras model data-parallel: each worker has a replica, only gradients or weights travel.

    A step is cut into logical parts, whose gradients are added in one fixed order: the result has the same bits for any
    number of workers, after lost workers, and after a resume. A run that was killed is resumed by the same command.

    Examples:
      dask-jobs train --run runs/train
      dask-jobs train --example linear --run runs/linear
      dask-jobs train --model my_model:create_model --data idx:/data/mnist --workers 4 --epochs 10 --run runs/mnist
      dask-jobs train --model my_model:create_model --data my_model:data --averaging parameters --every 50
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainingOptions.MAY_CHANGE, "callbacks", "accept_new_code")
    RESUMES: ClassVar[tuple[str, ...]] = ("accept_new_code",)

    model: Annotated[str | None, OptionHelp(COMPUTE, "module:function")] = Field(
        default=None,
        description="a function that returns a compiled Keras model (default: that of the example)",
    )
    data: Annotated[str | None, OptionHelp(COMPUTE, "DATA")] = Field(
        default=None,
        description="digits, idx:FOLDER, npz:FILE, npy:FOLDER, or with --label parquet:PATH or csv:PATH, local or "
        "s3://; or module:function, which returns rows, arrays (x, y), or, of (part, parts, epoch, seed), a "
        "tf.data.Dataset of that part's batches "
        "(default: digits)",
    )
    label: LabelOption = None
    features: FeaturesOption = None
    weight: WeightOption = None
    example: Annotated[Literal["digits", "linear"] | None, OptionHelp(COMPUTE)] = Field(
        default=None,
        description="a model and data to begin with: digits (a small CNN), or linear, which prints its weights "
        "(default: digits)",
    )
    validation: Annotated[str | None, OptionHelp(COMPUTE, "FRACTION|DATA")] = Field(
        default=None,
        description="what is evaluated after each epoch: a fraction of the rows, which is held out, or other data "
        "(default: 0.1 for the digits)",
    )
    batch_size: Annotated[PositiveInt, OptionHelp(HOW, "ROWS")] = Field(
        default=64, description="rows of a step, over all workers; a multiple of --parts"
    )
    averaging: Annotated[Literal["gradient", "parameters"], OptionHelp(HOW)] = Field(
        default="gradient",
        description="gradient: one common step per batch; parameters: parts train alone, and their weights are "
        "averaged every --every steps",
    )
    every: Annotated[PositiveInt | None, OptionHelp(HOW, "STEPS")] = Field(
        default=None, description="steps between two averages of parameters (default: 10)"
    )
    slots: Annotated[Literal["mean", "reset"], OptionHelp(HOW)] = Field(
        default="mean",
        description="what averaging parameters does with the optimizer's slots, such as momenta: take their mean, or "
        "reset them to those of the run's start",
    )
    callbacks: Annotated[str | None, OptionHelp(HOW, "module:function")] = Field(
        default=None,
        description="a function that returns Keras callbacks; they run on the driver where epochs begin and end",
    )
    accept_new_code: Annotated[bool, OptionHelp(RUNS)] = Field(
        default=False, description="resume though the source of the model or the data has changed"
    )

    @field_validator("data", "validation", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        """Take a number of a YAML file as text."""
        return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        """Reject options that would not be read."""
        if self.every is not None and self.averaging == "gradient":
            other = f"{argument('averaging')} parameters"
            raise ValueError(f"{argument('every')} {self.every} needs {other}: gradients are averaged in each step")
        if self.example is not None and (self.model is not None or self.data is not None):
            both = f"{argument('model')} and {argument('data')}"
            raise ValueError(f"{argument('example')} {self.example} has its own model and data: leave out {both}")
        if self.model is not None and self.data is None:
            raise ValueError(f"{argument('model')} {self.model} needs {argument('data')}")
        return self
