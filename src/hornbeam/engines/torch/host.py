"""Functions of PyTorch in graphs: types by the meta device, gradients by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from hornbeam.engines.torch.triton import import_beside_tensorflow
from hornbeam.ir.sizes import evaluate, is_unknown, new_size, symbols_of
from hornbeam.ir.types import TensorType

Tensor = Any

# PyTorch has no public way to run a module on sizes that are not known: its symbolic sizes belong to the
# compiler, change between versions and specialize to an example. So a module runs twice on the meta device,
# with these numbers for unknown sizes of batches and of other axes; sizes of results that differ are unknown.
# Factors of 32 survive five halvings.
_PROBES = ((83, 96), (89, 128))


class TorchHost:
    """Host functions of PyTorch; see `hornbeam.primitives.host.Host`."""

    library = "torch"

    def infer(self, compute: Callable[..., Any], types: Sequence[TensorType]) -> list[TensorType]:
        """Infer the types of results; see `Host.infer`.

        Raises:
            TypeError: If the types depend on values.
        """
        import_beside_tensorflow()
        symbols = {name for t in types for size in t.shape for name in symbols_of(size)}
        if not symbols:
            return _infer(compute, types)
        batch = set().union(*(symbols_of(t.shape[0]) for t in types if t.shape))
        probes = [{name: rows if name in batch else n for name in symbols} for rows, n in _PROBES]
        answers = [
            _infer(compute, [TensorType(tuple(evaluate(n, probe) for n in t.shape), t.dtype) for t in types])
            for probe in probes
        ]
        sizes = [size for t in types for size in t.shape if is_unknown(size)]

        def size_of(numbers: tuple[int, ...]) -> int:
            if len(set(numbers)) == 1:
                return numbers[0]
            same = {n for n in sizes if numbers == tuple(evaluate(n, probe) for probe in probes)}
            return same.pop() if len(same) == 1 else new_size()

        return [
            TensorType(tuple(map(size_of, zip(*(t.shape for t in results), strict=True))), results[0].dtype)
            for results in zip(*answers, strict=True)
        ]

    def follow(
        self, compute: Callable[..., Any], arrays: Sequence[Tensor], wanted: Sequence[int]
    ) -> tuple[Sequence[Tensor], Any]:
        """Compute results and a tape; see `Host.follow`."""
        leaves = dict.fromkeys(wanted)
        full = list(arrays)
        for i in wanted:  # inside another derivative they are tracked already
            full[i] = leaves[i] = x if (x := arrays[i]).requires_grad else x.detach().requires_grad_()
        with torch.enable_grad():
            outputs = list(compute(*full))

        def tape(known: Sequence[int], asked: Sequence[int], cotangents: Sequence[Tensor]) -> list[Tensor]:
            pairs = [
                (outputs[i], ct) for i, ct in zip(known, cotangents, strict=True) if outputs[i].requires_grad
            ]
            if not pairs:
                return [torch.zeros_like(leaves[i]) for i in asked]
            ys, cts = zip(*pairs, strict=True)
            grads = torch.autograd.grad(
                ys, [leaves[i] for i in asked], cts, retain_graph=True, allow_unused=True,
                create_graph=torch.is_grad_enabled(),
            )  # fmt: skip
            return [
                torch.zeros_like(leaves[i]) if x is None else x for i, x in zip(asked, grads, strict=True)
            ]

        return outputs if torch.is_grad_enabled() else [y.detach() for y in outputs], tape


def _infer(compute: Callable[..., Any], types: Sequence[TensorType]) -> list[TensorType]:
    """Infer the types of results from types without unknown sizes."""
    with torch.no_grad(), torch.device("meta"):
        arrays = [torch.empty(t.shape, dtype=getattr(torch, t.dtype)) for t in types]
        try:
            results = compute(*arrays)
        except NotImplementedError as error:
            raise TypeError(
                f"shapes of a module's results are inferred on PyTorch's meta device, without values, "
                f"and this module needs values ({error})"
            ) from error
    return [TensorType(tuple(x.shape), str(x.dtype).removeprefix("torch.")) for x in results]
