"""Base classes of Keras's layers and losses, for subclasses and `isinstance`."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam.extensions.layers import Conv, DropoutMasks
from hornbeam.extensions.layers import GlobalPooling as BaseGlobalPooling
from hornbeam.extensions.layers import Merge as Merge
from hornbeam.extensions.layers import Pooling as BasePooling
from hornbeam.extensions.packages import exported
from hornbeam.layers import Conv1D, Conv2D, Conv3D
from hornbeam.losses import LossFunctionWrapper as LossFunctionWrapper
from hornbeam.models import Functional as Functional

if TYPE_CHECKING:
    from hornbeam.extensions.typing import ActivationLike, ConstraintLike, InitializerLike, RegularizerLike

__all__ = [
    "BaseConv",
    "BaseGlobalPooling",
    "BasePooling",
    "DropoutRNNCell",
    "Functional",
    "LossFunctionWrapper",
    "Merge",
]


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
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        **kwargs: Any,
    ) -> None:
        # Attributes of the class in Conv1D and its like. `Layer.__init__`, which reads them, starts tracking.
        object.__setattr__(self, "rank", rank)
        if rank == 1:
            object.__setattr__(self, "paddings", ("valid", "same", "causal"))
        super().__init__(
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


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
