"""TensorFlow's start in a process."""

from __future__ import annotations

import os
import subprocess
import sys

IMPORT = """
import os
from jobs.keras.runtime import import_tensorflow, without_banners
import_tensorflow()
with without_banners():
    os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on. You may\\nsomething else\\n")
"""


def test_nothing_is_written_that_nobody_can_act_on() -> None:
    """Its banners are left out, in spite of any log level; what else is written meanwhile is not."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", IMPORT], env=environment, capture_output=True, timeout=120, check=True)
    assert done.stderr == b"something else\n"
