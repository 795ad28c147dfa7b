"""The shipped objective, `jobs.tune.cnn:train`: a convolutional network on images."""

from jobs.tune.cnn.objective import SPACE, check_parameters, data_files, train

__all__ = ["SPACE", "check_parameters", "data_files", "train"]
