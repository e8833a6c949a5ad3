"""`keras.mixed_precision`: the global dtype policy under its older names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach
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
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy", "set_dtype_policy",
    "set_global_policy",
]  # fmt: skip


if not TYPE_CHECKING:  # there, it would let misspelled names pass
    __getattr__, __dir__, _ = attach(__name__, {"LossScaleOptimizer": "hornbeam.optimizers"})
