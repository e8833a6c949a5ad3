"""Recurrent composites with few calls per step: each call costs microseconds.

What does not depend on the previous step is computed for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import Tensor


def _select_by_mask(mask: Sequence[Tensor], at: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that selects new values in the rows of a step's mask, old ones in others."""
    if not mask:
        return lambda new, old: new
    active = mask[0][:, at, None]
    return lambda new, old: torch.where(active, new, old)


def _lstm_grad(
    w: Tensor, c0: Tensor, c: Tensor, gates: Tensor, dh: Tensor, dc: Tensor, *rest: Tensor,
    reverse: bool, masked: bool, **_: Any,
) -> tuple[Tensor, ...]:  # fmt: skip
    every, mask = rest[: len(rest) - masked], rest[len(rest) - masked :]
    batch, length, size = c.shape
    i, f, g, o = gates.chunk(4, 2)
    start = c0[:, None]
    before = torch.cat([c[:, 1:], start] if reverse else [start, c[:, :-1]], 1)
    tanh_c = torch.tanh(c)
    through = o * (1 - tanh_c * tanh_c)
    # Derivatives of the state by the pre-activations of i, f and g, and of the output by that of o.
    local = [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)]
    factors = torch.stack(local, 2)
    steps = factors.unbind(1), through.unbind(1), f.unbind(1)
    dx = factors.new_empty((batch, length, 4, size))
    back = w.t()
    for at in range(length) if reverse else reversed(range(length)):
        factor, dc_dh, forget = (x[at] for x in steps)
        select = _select_by_mask(mask, at)
        dh_total = dh + every[0][:, at] if every else dh
        dc_total = torch.addcmul(dc, dh_total, dc_dh)
        dgates = torch.cat([(factor[:, :3] * dc_total[:, None]).flatten(1), factor[:, 3] * dh_total], 1)
        dh, dc = select(dgates @ back, dh_total), select(dc_total * forget, dc)
        dx[:, at] = select(dgates, torch.zeros_like(dgates)).view(batch, 4, size)
    return dx.flatten(2), dh, dc


RECURRENT: Table = {"lstm_grad": _lstm_grad}
