"""Keras for all jobs: starting TensorFlow, building the same model in every process, serialization, flat variables."""
