"""Training Keras models data-parallel: replicas on workers, gradient averaging and parameter averaging."""

from jobs.train.averaging import GradientAveraging, ParameterAveraging
from jobs.train.replicas import Replicas

__all__ = ["GradientAveraging", "ParameterAveraging", "Replicas"]
