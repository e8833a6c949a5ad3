"""Functions of PyTorch inside of graphs: their types by a run on the meta device, their derivatives by
autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from hornbeam.ir.types import TensorType

Tensor = Any


class TorchHost:
    """See `hornbeam.primitives.host.Host`."""

    library = "torch"

    def infer(self, compute: Callable[..., Any], types: Sequence[TensorType]) -> list[TensorType]:
        """See `Host.infer`. Raises TypeError where a function needs values to know what comes out."""
        with torch.no_grad(), torch.device("meta"):
            given = [torch.empty(t.shape, dtype=getattr(torch, t.dtype)) for t in types]
            try:
                found = compute(*given)
            except NotImplementedError as error:
                raise TypeError(
                    f"shapes of a module's results are found by a run on PyTorch's meta device, without "
                    f"values, and this module needs values ({error})"
                ) from error
        return [TensorType(tuple(x.shape), str(x.dtype).removeprefix("torch.")) for x in found]

    def follow(
        self, compute: Callable[..., Any], arrays: Sequence[Tensor], wanted: Sequence[int]
    ) -> tuple[Sequence[Tensor], Any]:
        """See `Host.follow`."""
        leaves = dict.fromkeys(wanted)
        full = list(arrays)
        for i in wanted:  # inside of another derivative they are followed already
            full[i] = leaves[i] = x if (x := arrays[i]).requires_grad else x.detach().requires_grad_()
        with torch.enable_grad():
            outputs = list(compute(*full))

        def tape(known: Sequence[int], asked: Sequence[int], slopes: Sequence[Tensor]) -> list[Tensor]:
            pairs = [(outputs[i], s) for i, s in zip(known, slopes, strict=True) if outputs[i].requires_grad]
            if not pairs:
                return [torch.zeros_like(leaves[i]) for i in asked]
            ys, cts = zip(*pairs, strict=True)
            found = torch.autograd.grad(
                ys, [leaves[i] for i in asked], cts, retain_graph=True, allow_unused=True,
                create_graph=torch.is_grad_enabled(),
            )  # fmt: skip
            return [
                torch.zeros_like(leaves[i]) if x is None else x for i, x in zip(asked, found, strict=True)
            ]

        return outputs if torch.is_grad_enabled() else [y.detach() for y in outputs], tape
