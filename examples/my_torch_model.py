"""A small torch network on the shipped digits, fitted by SciPy's optimizers."""

from jobs.minimize import torch
from torch import nn


def create_model():
    """Return the network, with its initial weights."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def problem():
    """Return the problem: `dask-jobs minimize --problem my_torch_model:problem`."""
    return torch.problem(create_model, nn.CrossEntropyLoss(), "digits", dtype="float64", block_rows=256)
