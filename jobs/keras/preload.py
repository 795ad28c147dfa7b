"""Imported by the process that workers on this machine are forked from: TensorFlow and Keras, if they can be."""

import contextlib

from jobs.keras.runtime import load

with contextlib.suppress(Exception):  # the first worker that needs them raises it, in one line
    load()
