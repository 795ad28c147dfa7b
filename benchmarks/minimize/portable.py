"""The price of `--cpu portable`: the same by the instructions of x86-64-v3, and by all that this machine has.

Two processes, one of each kind, are timed in turns. Each is this module: it computes once per line that it reads, and
answers with the CPU seconds, which other work on the machine changes less.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.processes import environment
from benchmarks.report import Table, spread

ROWS, IMAGES = 8192, 256
KINDS = {
    "float64": "softmax, float64",
    "float32": "softmax, float32",
    "keras": "a convolutional network's step, Keras on TensorFlow, float32",
    "torch": "the same network's gradient, PyTorch, float32",
}
TEXT = f"""\
Milliseconds of CPU by `--cpu native` and `portable`, one thread, in turns: loss and gradient of softmax regression on
{ROWS:,} rows, and of a small convolutional network (one layer of 32 filters) on {IMAGES} images of 28 x 28."""


def run(kinds: Sequence[str], repeats: int) -> Table:
    """Return the table of some of KINDS, by so many pairs."""
    from jobs.cpu import PORTABLE

    rows = [(KINDS[kind], *_compare(kind, PORTABLE, repeats)) for kind in kinds]
    return Table("Portable instructions", TEXT, ("", "native ms", "portable ms", "portable / native"), rows)


def _compare(kind: str, variables: dict[str, str], repeats: int) -> tuple[str, str, str]:
    plain = {name: value for name, value in environment().items() if name not in variables}
    with _start(kind, plain) as native, _start(kind, plain | variables) as portable:
        pairs = [(_ask(native), _ask(portable)) for _ in range(repeats)]
    medians = [f"{1e3 * statistics.median(times):.1f}" for times in zip(*pairs, strict=True)]
    return medians[0], medians[1], spread([slow / fast for fast, slow in pairs])


def _start(kind: str, variables: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.minimize.portable", kind]
    return subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def _serve(kind: str) -> None:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        compute = {"keras": _keras, "torch": _torch}.get(kind, lambda: _softmax(kind))()
        compute()  # the first one makes its buffers, or compiles
        for _ in sys.stdin:
            began = time.process_time()
            compute()
            print(time.process_time() - began, flush=True)


def _softmax(dtype: str) -> Callable[[], object]:
    import numpy as np

    from benchmarks.minimize.kernel import CLASSES, FEATURES, Generated
    from jobs.minimize.softmax import Softmax

    rng = np.random.default_rng(0)
    data = Generated(rng.random((ROWS, FEATURES), dtype=np.float32), rng.integers(0, CLASSES, ROWS))
    problem, theta = Softmax(data, dtype), rng.normal(0, 0.1, CLASSES * (FEATURES + 1))
    block = problem.load(0, ROWS)
    return lambda: problem.value_and_grad(theta, block)


def _keras() -> Callable[[], object]:
    import numpy as np

    from jobs.keras.runtime import import_tensorflow

    tensorflow, keras = import_tensorflow()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    layers = [keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28, 1)), *layers])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    x, y = rng.random((IMAGES, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, IMAGES)
    return lambda: model.train_on_batch(x, y)


def _torch() -> Callable[[], object]:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 32, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(26 * 26 * 32, 10)]
    model, x, y = torch.nn.Sequential(*layers), torch.rand(IMAGES, 1, 28, 28), torch.randint(0, 10, (IMAGES,))
    return lambda: torch.nn.functional.cross_entropy(model(x), y).backward()


if __name__ == "__main__":
    _serve(sys.argv[1])
