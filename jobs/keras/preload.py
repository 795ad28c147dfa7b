"""Imported by the process that workers on this machine are forked from: TensorFlow and Keras, if they can be."""

import contextlib
import importlib

from jobs.keras.runtime import without_banners

with contextlib.suppress(Exception), without_banners():  # the first worker that needs them raises it, in one line
    importlib.import_module("tensorflow")
    importlib.import_module("keras")
