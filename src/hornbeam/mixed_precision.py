"""`keras.mixed_precision`: the global dtype policy under its older names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam.dtype_policies import (
    DTypePolicy,
    Policy,
    dtype_policy,
    global_policy,
    set_dtype_policy,
    set_global_policy,
)

if TYPE_CHECKING:
    from hornbeam.optimizers import LossScaleOptimizer as LossScaleOptimizer

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]


if not TYPE_CHECKING:  # there, it would let misspelled names pass

    def __getattr__(name: str) -> Any:
        if name == "LossScaleOptimizer":
            from hornbeam.optimizers import LossScaleOptimizer

            return LossScaleOptimizer
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
