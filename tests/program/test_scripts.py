"""Scripts as people write them: without `if __name__ == "__main__"`, with their classes and functions in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = '''
import numpy as np
from jobs import connect
from jobs.minimize import Objective, minimize, softmax
from jobs.tune import Study, space

print("begin")
client = connect(workers=2)


class Parabola:
    """Defined here: workers get it by value."""

    rows, block_rows = 8, 2

    def x0(self):
        return np.zeros(2)

    def load(self, start, stop):
        return np.arange(start, stop)

    def value_and_grad(self, theta, rows):
        return shifted(theta) @ shifted(theta) * len(rows), 2 * shifted(theta) * len(rows)


def shifted(theta):
    return theta - 3


def score(parameters):
    return (parameters["x"] - 0.5) ** 2


with Objective(client, Parabola()) as objective:
    print(minimize(objective).x.round(3).tolist())
for isolate in (False, True):
    study = Study(client, score, {"x": space.uniform(0, 1)}, trials=2, run=f"run-{isolate}", isolate=isolate,
                  direction="minimize")
    print(study.run()["trials"]["complete"])
'''

TRAINING = """
import numpy as np
from jobs import connect
from jobs.train import GradientAveraging, Replicas

client = connect(workers=1)


def create_model():
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


print("fits")
x = np.ones((8, 2), np.float32)
with Replicas(client, create_model) as replicas:
    print(len(GradientAveraging(replicas, parts=2).fit((x, x[:, :1]), epochs=1, batch_size=4)["loss"]))
"""


def _run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(text)
    here = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(here)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    """Its workers do not run it: minimize has a class of it, tune a function, in a process of its own as well."""
    done = _run(tmp_path, SCRIPT)
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode, done.stdout) == (0, "begin\n[3.0, 3.0]\n2\n2\n")


def test_a_script_that_trains_without_a_guard(tmp_path: Path) -> None:
    """The factory of a model is sent by value."""
    done = _run(tmp_path, TRAINING)
    assert (done.returncode, done.stdout) == (0, "fits\n1\n"), done.stderr
