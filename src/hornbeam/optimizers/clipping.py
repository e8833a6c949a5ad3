"""Clipping of gradients by value or by norm."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import ops
from hornbeam._internal.validation import check_positive
from hornbeam.core.tensor import Tensor


def check_clipping(clipnorm: float | None, clipvalue: float | None, global_clipnorm: float | None) -> None:
    """Raise ValueError unless at most one limit is set, and positive."""
    limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
    limits = {name: value for name, value in limits.items() if value is not None}
    if len(limits) > 1:
        raise ValueError(f"only one of clipnorm, clipvalue and global_clipnorm can be set, got {limits}")
    for name, value in limits.items():
        check_positive(name, value)


def clip_gradients(
    gradients: list[Tensor], clipnorm: float | None, clipvalue: float | None, global_clipnorm: float | None
) -> list[Tensor]:
    """Limit gradients: each norm to `clipnorm`, each entry to `clipvalue`, or all to one norm."""
    if clipnorm:
        return [g * (clipnorm / ops.maximum(global_norm([g]), clipnorm)) for g in gradients]
    if global_clipnorm:
        norm = global_norm(gradients)
        # norm - norm is 0, or NaN if a gradient is not finite: then all of them must be NaN.
        scale = global_clipnorm / ops.maximum(norm, global_clipnorm) + (norm - norm)
        return [g * ops.cast(scale, g.dtype) for g in gradients]
    if clipvalue:
        return [ops.clip(g, -clipvalue, clipvalue) for g in gradients]
    return gradients


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Compute the L2 norm over the entries of all tensors."""
    total = ops.sum(ops.square(tensors[0]))
    for tensor in tensors[1:]:
        total = total + ops.sum(ops.square(tensor))
    return ops.sqrt(total)
