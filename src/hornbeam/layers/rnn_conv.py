"""Convolutional LSTMs: ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, for sequences of images and their like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_choice, check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.rnn import _CellLayer
from hornbeam.layers.rnn_cells import LSTMCell
from hornbeam.layers.windows import channel_axis, check_window, spatial_sizes, window_output


class _ConvLSTMCell(LSTMCell):
    """An LSTMCell whose two products are convolutions: that of the input with strides and padding, that of
    the state with padding="same".
    """

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = constructor_arguments(locals())
        for name in ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate"):
            del arguments[name]
        super().__init__(filters, **arguments)
        owner = f"ConvLSTM{self.rank}D"
        self.filters = self.units
        self.kernel_size = check_sizes("kernel_size", kernel_size, self.rank, where=owner)
        self.strides = check_sizes("strides", strides, self.rank, where=owner)
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, self.rank, where=owner)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: strides and dilation_rate cannot both be above 1, got strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}"
            )
        self.padding = check_choice("padding", str(padding).lower(), ("valid", "same"), where=owner)
        self.data_format = standard_data_format(data_format)
        self.sequence_rank = self.rank + 3

    @property
    def _channels(self) -> int:
        """The axis of the channels, counted from the end: steps in front do not move it."""
        return -1 if self.data_format == "channels_last" else -self.rank - 1

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != self.rank + 2:
            raise ShapeError(
                f"{self.describe()} expects sequences of rank {self.rank + 3}, it got rank "
                f"{len(input_shape) + 1}: (batch, steps, sizes, channels)"
            )
        channels = input_shape[channel_axis(self.data_format)]
        spatial = spatial_sizes(input_shape, self.data_format)
        if channels is None or None in spatial:
            raise ShapeError(
                f"{self.describe()}: a step's sizes and channels must be known when it is built, got shape "
                f"{tuple(input_shape)} with data_format={self.data_format!r}"
            )
        window = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        check_window(self.describe(), spatial, *window)
        made = tuple(
            window_output(size, kernel, stride, self.padding, dilation)
            for size, kernel, stride, dilation in zip(
                spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True
            )
        )
        last = self.data_format == "channels_last"
        self.output_size = (*made, self.filters) if last else (self.filters, *made)
        width = 4 * self.filters
        self.kernel = self._weight("kernel", (*self.kernel_size, channels, width), "kernel")
        shape = (*self.kernel_size, self.filters, width)
        self.recurrent_kernel = self._weight("recurrent_kernel", shape, "recurrent")
        self.bias = self._weight("bias", (width,), "bias", self._bias_init()) if self.use_bias else None

    def project(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """The convolution of inputs (batch, ...) or (batch, steps, ...) with the kernel, plus the bias."""
        in_steps = inputs.ndim == self.sequence_rank
        if training and self.dropout:
            mask = self.get_dropout_mask(inputs[:, 0] if in_steps else inputs)
            inputs = self._four(inputs) * (ops.expand_dims(mask, 1) if in_steps else mask)
        x = ops.reshape(inputs, (-1, *inputs.shape[2:])) if in_steps else inputs
        outputs = self._convolved(
            x, self.kernel, self.padding, strides=self.strides, dilation_rate=self.dilation_rate
        )
        if self.bias is not None:
            trailing = () if self.data_format == "channels_last" else (1,) * self.rank
            outputs = outputs + ops.reshape(self.bias, (-1, *trailing))
        return ops.reshape(outputs, (*inputs.shape[:2], *outputs.shape[1:])) if in_steps else outputs

    def _convolved(self, x: Tensor, kernel: Any, padding: str, **arguments: Any) -> Tensor:
        """A convolution; of four copies of an input each gate sees one, as groups."""
        return ops.conv(x, kernel, padding=padding, data_format=self.data_format, **arguments)

    def _four(self, x: Tensor) -> Tensor:
        """A copy of the channels for each gate, since each has a dropout mask of its own."""
        return ops.concatenate([x] * 4, axis=self._channels)

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """The masks of the four gates for an input (batch, ...), side by side in its channels."""
        return super().get_dropout_mask(self._four(step_input))

    def get_recurrent_dropout_mask(self, state: Tensor) -> Tensor:
        """The masks of the four gates for the state, side by side in its channels."""
        return super().get_recurrent_dropout_mask(self._four(state))

    def advance(self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False) -> Any:
        h, c = states
        if training and self.recurrent_dropout:
            h = self._four(h) * self.get_recurrent_dropout_mask(h)
        z = projected + self._convolved(h, self.recurrent_kernel, "same")
        return self._gated(ops.split(z, 4, axis=self._channels), c)

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zeros of the output's shape for h and c; known once the cell is built."""
        return [ops.zeros((batch_size, *self.output_size), dtype=self.compute_dtype) for _ in range(2)]


class _Cell1D(_ConvLSTMCell):
    rank = 1


class _Cell2D(_ConvLSTMCell):
    rank = 2


class _Cell3D(_ConvLSTMCell):
    rank = 3


class _ConvLSTM(_CellLayer):
    """A recurrent layer with a convolutional cell."""

    cell_class: type[_ConvLSTMCell]

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(arguments)
        self.input_spec = InputSpec(ndim=self.cell_class.rank + 3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unroll": self.unroll}


@exported("keras.layers")
class ConvLSTM1D(_ConvLSTM):
    """c = f * c + i * g, h = o * activation(c), where the gates are convolutions of x[t] and h[t-1] (Shi et
    al. 2015).

    x (batch, steps, length, channels) -> y (batch, length', filters), or (batch, steps, length', filters)
    with return_sequences; with return_state also h and c. kernel (*kernel_size, channels, 4 * filters) with
    strides, padding and dilation_rate as in Conv1D; recurrent_kernel (*kernel_size, filters, 4 * filters)
    with padding="same"; bias (4 * filters,). dropout, recurrent_dropout: each gate has a mask of its own,
    the same at all steps. data_format="channels_first": x (batch, steps, channels, length). Further
    arguments as in RNN and LSTM.

    Raises ValueError for bad arguments, ShapeError for unknown sizes or a kernel that is larger than a step.

    >>> hornbeam.layers.ConvLSTM1D(4, 3, padding="same")(np.ones((2, 5, 8, 3))).shape
    (2, 8, 4)
    """

    cell_class = _Cell1D

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(constructor_arguments(locals()))


@exported("keras.layers")
class ConvLSTM2D(_ConvLSTM):
    """A ConvLSTM for sequences of images: x (batch, steps, height, width, channels) -> y (batch, h', w',
    filters), or with steps in front of h' with return_sequences (Shi et al. 2015).

    Formulas, weights and arguments as in ConvLSTM1D; kernel (*kernel_size, channels, 4 * filters).

    Raises ValueError for bad arguments, ShapeError for unknown sizes or a kernel that is larger than a step.

    >>> layer = hornbeam.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
    >>> layer(np.ones((2, 5, 6, 7, 3))).shape
    (2, 5, 6, 7, 4)
    """

    cell_class = _Cell2D

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(constructor_arguments(locals()))


@exported("keras.layers")
class ConvLSTM3D(_ConvLSTM):
    """A ConvLSTM for sequences of volumes: x (batch, steps, depth, height, width, channels) -> y (batch, d',
    h', w', filters), or with steps in front of d' with return_sequences (Shi et al. 2015).

    Formulas, weights and arguments as in ConvLSTM1D; kernel (*kernel_size, channels, 4 * filters).

    Raises ValueError for bad arguments, ShapeError for unknown sizes or a kernel that is larger than a step.

    >>> hornbeam.layers.ConvLSTM3D(2, 2)(np.ones((1, 2, 3, 4, 5, 1))).shape
    (1, 2, 3, 4, 2)
    """

    cell_class = _Cell3D

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(constructor_arguments(locals()))
