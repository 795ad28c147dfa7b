"""TensorFlow's start in a process."""

from __future__ import annotations

import os
import subprocess
import sys

IMPORT = """
import os
from jobs.keras.runtime import _without_banners, import_tensorflow
import_tensorflow()
with _without_banners():
    os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on. You may\\nsomething else\\n")
"""

THREADS = """
import os, threading
from jobs.keras.runtime import import_tensorflow
before = os.fstat(2)
threads = [threading.Thread(target=lambda: [import_tensorflow() for _ in range(200)]) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
assert os.path.samestat(before, os.fstat(2))
os.write(2, b"still there")
"""


def test_nothing_is_written_that_nobody_can_act_on() -> None:
    """Its banners are left out, in spite of any log level; what else is written meanwhile is not."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", IMPORT], env=environment, capture_output=True, timeout=120, check=True)
    assert done.stderr == b"something else\n"


def test_standard_error_is_left_to_many_threads() -> None:
    """All threads of a worker ask for TensorFlow, a step's and those that read ahead, while others write their logs."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"still there")
