"""Values of variables for stateless calls and steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam.core.variable import Variable

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


def pair_values(
    layer: Layer, kind: str, variables: Sequence[Variable], values: Sequence[Any]
) -> list[tuple[Variable, Any]]:
    """Pair variables with their values. Raises ValueError if their numbers differ or nothing is built."""
    if not layer.built:
        raise ValueError(f"{layer.describe()} is not built: call it on data, or build(input_shape), first")
    if len(variables) != len(values):
        raise ValueError(
            f"{layer.describe()} has {len(variables)} {kind} variables, got {len(values)} values"
        )
    return list(zip(variables, values, strict=True))
