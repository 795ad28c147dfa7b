"""The options of the alexnet job."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from jobs.command_line.option_help import OptionHelp
from jobs.formatting import given
from jobs.train.options import HOW, TrainingOptions

DATA, NETWORK = "the images", "the network"
BUCKET, PREFIX, LABELS = "sparknet", "ILSVRC2012_img_train/n015", "train.txt"
DEMO_IMAGES = "demo", "train/", "labels.txt"
"""The demo's bucket, the beginning of the keys of its tars, and its label file."""
BYTES = r"\d{1,15}(\.\d+)?\s*([kKMGT]i?)?B?"
RATE, RATE_BATCH = 0.01, 128
"""The paper's learning rate, and the images of its steps. For fewer in proportion less, as the paper of 2014 has it: at
20 or 40 images 0.01 was seen to end in NaN."""
ENDLESS = 1_000_000
"""Epochs of a training without an end."""


class Options(TrainingOptions):
    """Train AlexNet on labelled images in tar files, from S3 or a folder, by synchronous SGD on all workers.

    The workers read the tars by ranges, decode the images, and exchange them until each has a mixture of all. Then each
    trains with its own, and only gradients travel. A run that was killed, or lost workers, ends with the same bits.

    Examples:
      dask-jobs alexnet --demo --run runs/a0
      dask-jobs alexnet --data /data/imagenet --label-file /data/train.txt --run runs/a1
      dask-jobs alexnet --s3-bucket imagenet --key-prefix train/n015 --label-file train.txt --run s3://bucket/runs/a2
      dask-jobs alexnet --data photos --labels folder --image-size 64 --width 0.25 --epochs 10
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*TrainingOptions.MAY_CHANGE, "memory", "endpoint_url", "anonymous")

    data: Annotated[str | None, OptionHelp(DATA, "FOLDER", path=True)] = Field(
        default=None, description="a folder with tar files, instead of a bucket"
    )
    s3_bucket: Annotated[str, OptionHelp(DATA, "NAME")] = Field(
        default=BUCKET, description="the bucket with the tar files; credentials and endpoint as of AWS's own tools"
    )
    key_prefix: Annotated[str, OptionHelp(DATA, "PREFIX")] = Field(
        default=PREFIX,
        description="the beginning of the keys of the tar files; with --data of their names, by default of any",
    )
    label_file: Annotated[str, OptionHelp(DATA, "PATH", path=True)] = Field(
        default=LABELS,
        description="lines `name label`, labels from 0: a key of the bucket, or with --data a path",
    )
    labels: Annotated[Literal["file", "folder"], OptionHelp(DATA)] = Field(
        default="file",
        description="file: those of the label file; folder: the class of an image is the folder it lies in, or the tar "
        "where it lies in none; classes are numbered in the order of their names",
    )
    demo: Annotated[bool, OptionHelp(DATA)] = Field(
        default=False,
        description="make a small bucket of images of five classes, serve it on this machine, and train a small "
        "network on it; other options win",
    )
    endpoint_url: Annotated[str | None, OptionHelp(DATA, "URL")] = Field(
        default=None, description="address of the bucket's server, where it is not AWS (default: $AWS_ENDPOINT_URL)"
    )
    anonymous: Annotated[bool, OptionHelp(DATA)] = Field(
        default=False, description="read the bucket without credentials, as public ones allow"
    )
    skip_unlabelled: Annotated[bool, OptionHelp(DATA)] = Field(
        default=False, description="leave images out that the label file does not have"
    )
    max_bad: Annotated[NonNegativeFloat, OptionHelp(DATA, "FRACTION")] = Field(
        default=0.001, le=1, description="fraction of images that may be unreadable; they are left out"
    )
    resize: Annotated[Literal["squash", "crop"], OptionHelp(DATA)] = Field(
        default="squash", description="squash: both sides to the size; crop: the shorter side, then the centre"
    )
    partition_images: Annotated[PositiveInt, OptionHelp(DATA)] = Field(
        default=1024, description="images that are loaded and kept together, at most"
    )
    shuffle_rounds: Annotated[NonNegativeInt, OptionHelp(DATA)] = Field(
        default=5, le=64, description="rounds in which pairs of partitions exchange images; k rounds mix 2^k partitions"
    )
    width: Annotated[PositiveFloat, OptionHelp(NETWORK)] = Field(
        default=1.0, le=16, description="factor of the network's filters and units"
    )
    image_size: Annotated[PositiveInt, OptionHelp(NETWORK, "PIXELS")] = Field(
        default=224,
        ge=57,
        le=1024,
        description="side of the random crops that are trained on; images are kept 8/7 as large",
    )
    init_scale: Annotated[PositiveFloat, OptionHelp(NETWORK)] = Field(
        default=0.01, allow_inf_nan=False, description="standard deviation of the initial weights"
    )
    learning_rate: Annotated[PositiveFloat | None, OptionHelp(NETWORK)] = Field(
        default=None,
        allow_inf_nan=False,
        description="of SGD, at the start (default: 0.01 for steps of 128 images or more, of fewer in proportion less)",
    )
    drop_epochs: Annotated[NonNegativeInt, OptionHelp(NETWORK, "EPOCHS")] = Field(
        default=30, description="the learning rate is divided by 10 after each so many epochs; 0: never"
    )
    plain_sgd: Annotated[bool, OptionHelp(NETWORK)] = Field(
        default=False, description="without momentum and weight decay"
    )
    validation: Annotated[float, OptionHelp(HOW, "FRACTION")] = Field(
        default=0.02, ge=0, lt=1, description="fraction of the images that is held out, and evaluated after each epoch"
    )
    epochs: Annotated[NonNegativeInt, OptionHelp(HOW)] = Field(
        default=90, description="passes over the images; a run may be given more; 0: no end"
    )
    parts: Annotated[PositiveInt | Literal["workers"], OptionHelp(HOW, "N|workers")] = Field(
        default="workers",
        description="logical parts of a step, at least as many as workers; workers: one per worker, the fastest, "
        "fixed at the run's start",
    )
    minibatch: Annotated[PositiveInt | None, OptionHelp(HOW, "IMAGES")] = Field(
        default=None, description="images of a part of a step (default: 20 on CPUs, 128 on GPUs)"
    )
    memory: Annotated[str | None, OptionHelp(DATA, "BYTES")] = Field(
        default=None,
        description="memory for images on each worker, such as 8GB; those beyond lie in files of its scratch folder "
        "(default: half of the worker's memory)",
    )

    @field_validator("memory")
    @classmethod
    def _bytes(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(BYTES, value):
            raise ValueError(f"--memory is {given(value)}, but must be a number of bytes, such as 500MB or 8GB")
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _name(cls, value: str) -> str:
        if "/" in value:
            raise ValueError(
                f"--s3-bucket is {given(value)}, but must be the bucket's name alone; --key-prefix is how the keys of "
                "its tars begin"
            )
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _without_user(cls, value: str | None) -> str | None:
        if "@" in (value or ""):  # not shown here, for options are logged, and stand in the run folder
            raise ValueError("--endpoint-url has a user before @: leave it out, credentials are AWS_ variables")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Options:
        """Reject options that would not be read."""
        # Not what was given: a chart's values and options.yaml have the defaults too.
        if self.data is not None and self.s3_bucket != BUCKET:
            raise ValueError(f"--data {self.data} and --s3-bucket {self.s3_bucket}: give one of them")
        if self.data is not None and (self.endpoint_url or self.anonymous):
            raise ValueError(f"--data {self.data} is a folder: leave out --endpoint-url and --anonymous")
        if self.labels == "folder" and self.label_file != LABELS:
            raise ValueError(f"--labels folder and --label-file {self.label_file}: give one of them")
        if self.labels == "folder" and self.skip_unlabelled:
            raise ValueError("--labels folder gives each image a label: leave out --skip-unlabelled")
        if self.reduce_on_plateau and self.drop_epochs:
            raise ValueError("--reduce-on-plateau needs --drop-epochs 0: either lowers the learning rate")
        images = (self.s3_bucket, self.key_prefix, self.label_file)
        if self.demo and (self.data or images not in ((BUCKET, PREFIX, LABELS), DEMO_IMAGES)):
            raise ValueError("--demo has its own images: leave out --data, --s3-bucket, --key-prefix and --label-file")
        if self.demo and (self.scheduler or str(self.run).startswith("s3://")):
            raise ValueError("--demo is for one machine: its S3 server is the only one then, and no other reaches it")
        return self

    @property
    def prefix(self) -> str:
        """With what the names of the tars begin; a folder's are all taken by default."""
        return "" if self.data is not None and self.key_prefix == PREFIX else self.key_prefix

    def rate(self, batch: int) -> float:
        """Return the learning rate at the start, for steps of so many images."""
        return self.learning_rate or RATE * min(1.0, batch / RATE_BATCH)

    @property
    def side(self) -> int:
        """Pixels of the images that are kept: those of which crops are cut, as 256 is for 224."""
        return -(-self.image_size * 8 // 7)
