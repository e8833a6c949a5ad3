"""Composites over rows, forward and backward, by fused kernels of PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import Tensor

aten = torch.ops.aten


def _softmax_vjp(x: Tensor, ct: Tensor, **_: Any) -> Tensor:
    return aten._softmax_backward_data(ct, torch.softmax(x, -1), -1, x.dtype)


def _log_softmax_vjp(x: Tensor, ct: Tensor, **_: Any) -> Tensor:
    return aten._log_softmax_backward_data(ct, torch.log_softmax(x, -1), -1, x.dtype)


def _formula(approximate: bool) -> str:
    return "tanh" if approximate else "none"


def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float, **_: Any) -> Tensor:
    return aten.native_layer_norm(x, x.shape[-1:], gamma, beta, epsilon)[0]


def _layer_norm_vjp(
    x: Tensor, gamma: Tensor, beta: Tensor, ct: Tensor, *, epsilon: float, **_: Any
) -> tuple[Tensor, ...]:
    size = x.shape[-1:]
    _, mean, scale = aten.native_layer_norm(x, size, gamma, beta, epsilon)
    return aten.native_layer_norm_backward(ct, x, size, mean, scale, gamma, beta, [True, True, True])


ROWS: Table = {
    "softmax": lambda x, **_: torch.softmax(x, -1),
    "softmax_vjp": _softmax_vjp,
    "log_softmax": lambda x, **_: torch.log_softmax(x, -1),
    "log_softmax_vjp": _log_softmax_vjp,
    "logsumexp": lambda x, **_: torch.logsumexp(x, -1),
    "gelu": lambda x, *, approximate, **_: aten.gelu(x, approximate=_formula(approximate)),
    "gelu_vjp": lambda x, ct, *, approximate, **_: aten.gelu_backward(
        ct, x, approximate=_formula(approximate)
    ),
    "silu": lambda x, **_: aten.silu(x),
    "silu_vjp": lambda x, ct, **_: aten.silu_backward(ct, x),
    "layer_norm": _layer_norm,
    "layer_norm_vjp": _layer_norm_vjp,
}
