"""A torch model on the cluster: the chart minimize with the image that has PyTorch."""

from __future__ import annotations

from collections.abc import Callable

from release import Claim, Outcome
from watched import Watched

MODEL = """
from torch import nn
from jobs.minimize import torch

def create_model():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def problem():
    return torch.problem(create_model, nn.CrossEntropyLoss(), "digits", dtype="float64", block_rows=256)
"""


def test_a_torch_model_is_fitted_on_workers(
    watched: Watched, torch_fit: Callable[..., str], claim: Claim, result_of: Callable[..., Outcome]
) -> None:
    """Two workers fit the digits by trust-krylov's Hessian products, to softmax regression's optimum."""
    job = {"problem": "my_torch_model:problem", "method": "trust-krylov", "l2": 1}
    values = {"job": job, "code": {"my_torch_model.py": MODEL}, "workers": {"count": 2}}
    torch_fit("minimize", f"run.claim.name={claim}", values=values)
    assert watched.exit_code("fit", 600) == 0
    result = result_of("fit", claim).result
    assert abs(result["fun"] / 358.548948 - 1) < 1e-6
    assert result["success"]
