"""tf.types: names for annotations."""

from __future__ import annotations

from typing import Any

__all__ = ["TensorLike"]

TensorLike = Any
