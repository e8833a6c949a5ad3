"""Recurrent composites with few calls a step: each costs microseconds, whatever it computes.

What does not depend on the step before is computed for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import Tensor


def _kept(mask: Sequence[Tensor], at: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Chooses the new values in the rows that a step has, the old ones in others."""
    if not mask:
        return lambda new, old: new
    here = mask[0][:, at, None]
    return lambda new, old: torch.where(here, new, old)


def _lstm_grad(
    w: Tensor, c0: Tensor, c: Tensor, gates: Tensor, dh: Tensor, dc: Tensor, *rest: Tensor,
    reverse: bool, masked: bool, **_: Any,
) -> tuple[Tensor, ...]:  # fmt: skip
    every, mask = rest[: len(rest) - masked], rest[len(rest) - masked :]
    batch, length, size = c.shape
    i, f, g, o = gates.chunk(4, 2)
    start = c0[:, None]
    before = torch.cat([c[:, 1:], start] if reverse else [start, c[:, :-1]], 1)
    bent = torch.tanh(c)
    through = o * (1 - bent * bent)
    # Slopes of the sums under i, f and g by that of the state, and under o by that of the output.
    bends = [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), bent * o * (1 - o)]
    factors = torch.stack(bends, 2)
    steps = factors.unbind(1), through.unbind(1), f.unbind(1)
    dx = factors.new_empty((batch, length, 4, size))
    back = w.t()
    for at in range(length) if reverse else reversed(range(length)):
        factor, bend, forget = (x[at] for x in steps)
        kept = _kept(mask, at)
        slope_h = dh + every[0][:, at] if every else dh
        slope_c = torch.addcmul(dc, slope_h, bend)
        found = torch.cat([(factor[:, :3] * slope_c[:, None]).flatten(1), factor[:, 3] * slope_h], 1)
        dh, dc = kept(found @ back, slope_h), kept(slope_c * forget, dc)
        dx[:, at] = kept(found, torch.zeros_like(found)).view(batch, 4, size)
    return dx.flatten(2), dh, dc


RECURRENT: Table = {"lstm_grad": _lstm_grad}
