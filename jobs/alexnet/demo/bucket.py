"""The demo's bucket: generated images in tars, served by an S3 server of this machine."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tarfile
from collections.abc import Iterator
from typing import Any

from jobs.alexnet.demo.images import CLASS_NAMES, demo_images
from jobs.alexnet.options import DEMO_IMAGES
from jobs.errors import InputError
from jobs.storage import open_storage

BUCKET, PREFIX, LABELS = DEMO_IMAGES
IMAGES, TARS, CLASSES, WORKERS = 1200, 6, 5, 2
SETTINGS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_DEFAULT_REGION": "us-east-1"}
SMALL: dict[str, Any] = {
    "s3_bucket": BUCKET, "key_prefix": PREFIX, "label_file": LABELS, "image_size": 64, "width": 0.125, "epochs": 20,
    "partition_images": 100, "validation": 0.1, "learning_rate": 0.005, "drop_epochs": 15, "parts": 4,
}  # fmt: skip
"""What the demo is trained with where nothing else is asked for."""


@contextlib.contextmanager
def served() -> Iterator[None]:
    """Serve the bucket while the context lasts; the `AWS_` variables name the server, also for this process's workers.

    Raises:
        InputError: the server or Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise InputError(f"the demo needs a package ({error}): pip install '.[demo]'") from error
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(SETTINGS, AWS_ENDPOINT_URL=f"http://{host}:{port}", AWS_ENDPOINT_URL_S3=f"http://{host}:{port}")
    try:
        _fill()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.stop()


def _fill() -> None:
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    storage = open_storage(f"s3://{BUCKET}")
    for key, content in demo_objects():
        storage.write(key, content)


def demo_objects() -> Iterator[tuple[str, bytes]]:
    """Yield key and content of the bucket's objects: the tars below PREFIX, then LABELS."""
    lines = []
    for number in range(TARS):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            # Sorted by class, as ImageNet's tars are: the shuffle has something to do.
            images = sorted(
                demo_images(IMAGES // TARS, CLASSES, start=number * IMAGES // TARS), key=lambda one: one.label
            )
            for image in images:
                info = tarfile.TarInfo(f"{CLASS_NAMES[image.label]}/{image.name}")
                info.size = len(image.data)
                tar.addfile(info, io.BytesIO(image.data))
                lines.append(f"{info.name} {image.label}\n")
        yield f"{PREFIX}{number:03}.tar", file.getvalue()
    yield LABELS, "".join(lines).encode()
