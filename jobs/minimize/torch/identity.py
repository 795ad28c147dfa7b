"""The identity of a computation: its operations and constants, however they are written."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch

from jobs import sources
from jobs.minimize.problems.model import Spec
from jobs.minimize.torch.losses import unpacked


def computation(function: Callable[..., Any], *arguments: Any, spec: Spec) -> str:
    """Return a text that is another one where a function of tensors, or lists of them, computes something else.

    It lists the function's operations, with digests of its constants. Of a model that branches on values, which cannot
    be traced, it has the source digests of create_model's modules, and what the factory and the loss were packed as.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own tracer
            # make_fx counts the arguments of a method wrong.
            traced = make_fx(lambda *given: function(*given))(*arguments)  # noqa: PLW0108
    except Exception:  # noqa: BLE001  what cannot be traced raises many types
        create_model, loss = unpacked(spec.code)
        found = sources.sources(create_model, loss.function)
        return f"{hashlib.blake2b(spec.code, digest_size=8).hexdigest()} {found}"
    constants = [getattr(traced, node.target) for node in traced.graph.nodes if node.op == "get_attr"]
    digests = [_digest(value) for value in constants if isinstance(value, torch.Tensor)]
    return f"{re.sub(r' +#.*', '', traced.code)} {digests}"


def _digest(value: torch.Tensor) -> str:
    return hashlib.blake2b(value.detach().cpu().contiguous().numpy().tobytes(), digest_size=8).hexdigest()
