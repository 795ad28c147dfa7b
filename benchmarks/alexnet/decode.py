"""What decoding costs: images of a tar to 256 x 256 pixels on one core, beside other libraries."""

from __future__ import annotations

import io
import statistics
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.alexnet.peers.classic_loading import Items, Pixels, pillow
from benchmarks.alexnet.photos import DIFFERENT, photos, tar
from benchmarks.processes import wait_until_quiet
from benchmarks.report import Table, Target, spread
from jobs.alexnet.images import SIZE, decode_all
from jobs.alexnet.images.libraries import import_decoders

OURS = "ours"
OPENCV, PILLOW, DRAFT, TENSORFLOW = "OpenCV, bare", "Pillow", "Pillow, draft mode", "TensorFlow's operations"
TEXT = """\
Images a second of CPU time, all threads together, of {images} JPEGs of {width} x {height} pixels ({kilobytes:.0f} kB
each, quality 90, colours at half the resolution, {different} different ones), read from a tar in memory into one batch
of {size} x {size} pixels, {rounds} rounds in which all take their turns. All interpolate linearly: ours, OpenCV and
TensorFlow between neighbours, Pillow over all pixels that one covers. Ours also finds damage, and checks the size
before it decodes."""
RATIO = 0.85

Way = Callable[[Items, Pixels], object]


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        images: in the tar.
        sizes: width and height of all of them.
        rounds: turns of each.
        patience: seconds that a turn waits for other programs to rest.
        tensorflow: whether TensorFlow takes part.
    """

    images: int = 40
    sizes: tuple[tuple[int, int], ...] = ((500, 375), (1600, 1200))
    rounds: int = 5
    patience: float = 0.5
    tensorflow: bool = True


QUICK = Extent(images=4, sizes=((500, 375),), rounds=1, patience=0.0, tensorflow=False)


def run(extent: Extent) -> list[Table]:
    """Measure each size of images."""
    return [_table(extent, *size) for size in extent.sizes]


def _table(extent: Extent, width: int, height: int) -> Table:
    archive = tar(photos(width, height), extent.images)
    taken = _turns(_ways(tensorflow=extent.tensorflow), archive, extent)
    ratios = {
        name: [other / own for own, other in zip(seconds, taken[OPENCV], strict=True)]
        for name, seconds in taken.items()
    }
    rows = []
    for name, seconds in taken.items():
        rates = [extent.images / one for one in seconds]
        rows.append((name, f"{max(rates):,.0f}", spread(rates, 0), spread(ratios[name])))
    wanted = f"{width} x {height}: at least {RATIO} x OpenCV's images/s"
    target = Target(wanted, f"{spread(ratios[OURS])} x", statistics.median(ratios[OURS]) >= RATIO)
    kilobytes = sum(len(data) for _, data in _items(archive)) / extent.images / 1e3
    text = TEXT.format(
        images=extent.images,
        width=width,
        height=height,
        kilobytes=kilobytes,
        size=SIZE,
        rounds=extent.rounds,
        different=DIFFERENT,
    )
    return Table(
        f"Decoding {width} x {height}", text, ("", "best images/s", "images/s", "times OpenCV"), rows, [target]
    )


def _items(archive: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return [(one.name, archive[one.offset_data : one.offset_data + one.size]) for one in opened]


def _turns(ways: dict[str, Way], archive: bytes, extent: Extent) -> dict[str, list[float]]:
    """Return for each way the CPU seconds of the tar in each round; the first round warms up and is left out."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    out = np.zeros((extent.images, SIZE, SIZE, 3), np.uint8)
    for turn in range(extent.rounds + 1):
        for name, way in ways.items():
            wait_until_quiet(extent.patience)
            began = time.process_time()
            way(_items(archive), out)
            if turn:
                taken[name].append(time.process_time() - began)
    return taken


def _ways(*, tensorflow: bool) -> dict[str, Way]:
    ways: dict[str, Way] = {OURS: decode_all, OPENCV: _opencv, PILLOW: pillow, DRAFT: _draft}
    return ways | ({TENSORFLOW: _tensorflow()} if tensorflow else {})


def _opencv(items: Items, out: Pixels) -> None:
    cv2, _ = import_decoders()
    for number, (_, data) in enumerate(items):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        cv2.resize(pixels, (SIZE, SIZE), dst=out[number])


def _draft(items: Items, out: Pixels) -> None:
    pillow(items, out, draft=True)


def _tensorflow() -> Way:
    from jobs.keras.runtime import import_tensorflow

    tf, _ = import_tensorflow()

    @tf.function(input_signature=[tf.TensorSpec((), tf.string)])
    def decoded(data: object) -> object:
        resized = tf.image.resize(tf.io.decode_jpeg(data, channels=3), (SIZE, SIZE))
        return tf.cast(resized, tf.uint8)

    def way(items: Items, out: Pixels) -> None:
        for number, (_, data) in enumerate(items):
            out[number] = decoded(data)

    return way
