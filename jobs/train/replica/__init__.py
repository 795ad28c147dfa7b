"""One Keras model in one process: its state as arrays, and what is computed for one logical part of a step."""
