"""Types of the keyword arguments that layers pass on to `Layer`, for `**kwargs: Unpack[...]`."""

from __future__ import annotations

from typing import TypedDict

from hornbeam._internal.typing import DTypeLike, ShapeLike
from hornbeam.core.typing import RegularizerLike
from hornbeam.dtype_policies.policy import DTypePolicyLike


class _CommonLayerOptions(TypedDict, total=False):
    trainable: bool
    dtype: DTypePolicyLike | None
    autocast: bool
    input_shape: ShapeLike
    batch_input_shape: ShapeLike
    input_dim: int
    input_dtype: DTypeLike


class LayerOptions(_CommonLayerOptions, total=False):
    """Arguments of `Layer` but `activity_regularizer`."""

    name: str | None


class LowRankOptions(LayerOptions, total=False):
    """Arguments of `Layer` but `activity_regularizer`, and those of layers with low-rank factors."""

    lora_rank: int | None
    lora_alpha: float | None


class RegularizedLayerOptions(LayerOptions, total=False):
    """Arguments of `Layer`."""

    activity_regularizer: RegularizerLike


class UnnamedLayerOptions(_CommonLayerOptions, total=False):
    """Arguments of `Layer` but `name`."""

    activity_regularizer: RegularizerLike
