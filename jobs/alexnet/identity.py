"""What makes an alexnet run this run: options, images, labels, decoder."""

from __future__ import annotations

from jobs.alexnet.images import decoder_version
from jobs.alexnet.options import Options
from jobs.alexnet.tars import Index
from jobs.runs.run import Run
from jobs.train.attempt import compare
from jobs.train.loop.checkpoint import Checkpoints

CHOSEN = ("demo", "skip_unlabelled", "resize", "partition_images", "shuffle_rounds", "width", "image_size",
          "init_scale", "learning_rate", "drop_epochs", "plain_sgd")  # fmt: skip
"""Options that decide the result, beside those of every training."""


def chosen_by(options: Options) -> dict[str, str]:
    """Return what makes the run this run before anything is read: name -> value of options."""
    source = {} if options.data is not None else {"s3_bucket": options.s3_bucket}
    return source | {"prefix": options.prefix} | {name: str(getattr(options, name)) for name in CHOSEN}


def settings_of(options: Options) -> dict[str, str]:
    """Return the options of every training that make the run this run, as `train` compares them."""
    found = {name: getattr(options, name) for name in ("seed", "wire", "on_nan")}
    return {name: str(value) for name, value in (found | {"validation": options.validation or None}).items()}


def content_of(index: Index, digest: str) -> dict[str, str]:
    """Return what makes the run this run of its images and labels, whose digest is given."""
    return {"images": index.digest, "labels": digest, "decoder": decoder_version()}


def check_identity(folder: Run, known: dict[str, str]) -> None:
    """Compare what is known of this run's identity with the last checkpoint's, or without one the result's.

    Raises:
        InputError: the folder is another run's.
    """
    manifest = Checkpoints(folder.storage).last()
    before = (manifest.progress if manifest else folder.kept_result() or {}).get("identity")
    if before:
        what = "checkpoint" if manifest else "result"
        compare(f"the {what} in {folder.url}", {name: before.get(name) for name in known}, known)
