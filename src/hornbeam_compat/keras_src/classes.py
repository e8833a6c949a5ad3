"""Base classes of Keras's layers and losses, for subclasses and `isinstance`."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hornbeam.extensions.layers import Conv, DropoutMasks
from hornbeam.extensions.layers import GlobalPooling as BaseGlobalPooling
from hornbeam.extensions.layers import Merge as Merge
from hornbeam.extensions.layers import Pooling as BasePooling
from hornbeam.extensions.packages import exported
from hornbeam.layers import Conv1D, Conv2D, Conv3D
from hornbeam.losses import LossFunctionWrapper as LossFunctionWrapper
from hornbeam.models import Functional as Functional

__all__ = [
    "BaseConv",
    "BaseGlobalPooling",
    "BasePooling",
    "DropoutRNNCell",
    "Functional",
    "LossFunctionWrapper",
    "Merge",
]

# An activation, initializer, regularizer or constraint: by name, as a config, or as a function.
_Function: TypeAlias = str | dict[str, Any] | Callable[..., Any] | None


@exported("keras.src.layers.convolutional.base_conv")
class BaseConv(Conv, metaclass=ABCMeta):
    """Convolution over `rank` axes; `Conv1D`, `Conv2D` and `Conv3D` count as subclasses.

    Args:
        rank: Number of axes of the window.
        filters: Number of filters.
        kernel_size: Sizes of the window.
        **kwargs: As of `Conv2D`.
    """

    _not_in_config = Conv._not_in_config | {"rank"}

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: _Function = None,
        use_bias: bool = True,
        kernel_initializer: _Function = "glorot_uniform",
        bias_initializer: _Function = "zeros",
        kernel_regularizer: _Function = None,
        bias_regularizer: _Function = None,
        kernel_constraint: _Function = None,
        bias_constraint: _Function = None,
        **kwargs: Any,
    ) -> None:
        # Attributes of the class in Conv1D and its like. `Layer.__init__`, which reads them, starts tracking.
        object.__setattr__(self, "rank", rank)
        if rank == 1:
            object.__setattr__(self, "paddings", ("valid", "same", "causal"))
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint, **kwargs,
        )  # fmt: skip


for _layer in (Conv1D, Conv2D, Conv3D):
    BaseConv.register(_layer)


class DropoutRNNCell(DropoutMasks):
    """Mixin of cells that drop inputs and states by one mask for a sequence.

    A cell has attributes `dropout`, `recurrent_dropout` and `seed_generator`.
    """

    def reset_dropout_mask(self) -> None:
        """Discard the mask for inputs, so that a new one is drawn."""
        self._input_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Discard the mask for the state, so that a new one is drawn."""
        self._state_mask = None
