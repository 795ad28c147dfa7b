"""Imported by the process that workers on this machine are forked from: TensorFlow and Keras, if they can be."""

import contextlib
import importlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with contextlib.suppress(Exception):  # the first worker that needs them raises it, in one line
    importlib.import_module("tensorflow")
    importlib.import_module("keras")
