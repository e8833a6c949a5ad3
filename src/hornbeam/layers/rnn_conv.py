"""Convolutional LSTMs for sequences of sequences, images or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.typing import ActivationLike, PartialShape
from hornbeam._internal.validation import check_choice, check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, TensorLike, Unpack
from hornbeam.ir.types import ShapeError
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.options import LayerOptions
from hornbeam.layers.rnn_cells import LSTMCell
from hornbeam.layers.rnn_layers import _CellLayer
from hornbeam.layers.windows import channel_axis, check_window, spatial_sizes, window_output


class _ConvLSTMCell(LSTMCell):
    """LSTMCell whose two products are convolutions.

    The convolution of the input has strides and padding, that of the state padding="same".
    """

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        owner = f"ConvLSTM{self.rank}D"
        self.filters = self.units
        self.kernel_size = check_sizes("kernel_size", kernel_size, self.rank, where=owner)
        self.strides = check_sizes("strides", strides, self.rank, where=owner)
        self.dilation_rate = check_sizes("dilation_rate", dilation_rate, self.rank, where=owner)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: strides and dilation_rate cannot both be above 1, "
                f"got strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.padding = check_choice("padding", str(padding).lower(), ("valid", "same"), where=owner)
        self.data_format = standard_data_format(data_format)
        self.sequence_rank = self.rank + 3

    @property
    def _channels(self) -> int:
        """Axis of the channels, counted from the end: leading axes do not move it."""
        return -1 if self.data_format == "channels_last" else -self.rank - 1

    def build(self, input_shape: PartialShape) -> None:
        if len(input_shape) != self.rank + 2:
            raise ShapeError(
                f"{self.describe()} expects sequences of rank {self.rank + 3}, "
                f"got rank {len(input_shape) + 1}: (batch, steps, sizes, channels)"
            )
        channels = input_shape[channel_axis(self.data_format)]
        spatial = spatial_sizes(input_shape, self.data_format)
        if channels is None or None in spatial:
            raise ShapeError(
                f"{self.describe()}: a step's sizes and channels must be known when it is built, "
                f"got shape {tuple(input_shape)} with data_format={self.data_format!r}"
            )
        window = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        check_window(self.describe(), spatial, *window)
        output_sizes = tuple(
            window_output(size, kernel, stride, self.padding, dilation)
            for size, kernel, stride, dilation in zip(
                spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True
            )
        )
        channels_last = self.data_format == "channels_last"
        self.output_size = (*output_sizes, self.filters) if channels_last else (self.filters, *output_sizes)
        width = 4 * self.filters
        self.kernel = self._weight("kernel", (*self.kernel_size, channels, width), "kernel")
        shape = (*self.kernel_size, self.filters, width)
        self.recurrent_kernel = self._weight("recurrent_kernel", shape, "recurrent")
        self.bias = (
            self._weight("bias", (width,), "bias", self._bias_initializer()) if self.use_bias else None
        )

    def project(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Convolve inputs (batch, ...) or (batch, steps, ...) with the kernel and add the bias."""
        in_steps = inputs.ndim == self.sequence_rank
        if training and self.dropout:
            mask = self.get_dropout_mask(inputs[:, 0] if in_steps else inputs)
            inputs = self._repeat_for_gates(inputs) * (ops.expand_dims(mask, 1) if in_steps else mask)
        x = ops.reshape(inputs, (-1, *inputs.shape[2:])) if in_steps else inputs
        outputs = self._convolve(
            x, self.kernel, self.padding, strides=self.strides, dilation_rate=self.dilation_rate
        )
        if self.bias is not None:
            trailing = () if self.data_format == "channels_last" else (1,) * self.rank
            outputs = outputs + ops.reshape(self.bias, (-1, *trailing))
        return ops.reshape(outputs, (*inputs.shape[:2], *outputs.shape[1:])) if in_steps else outputs

    def _convolve(self, x: Tensor, kernel: TensorLike, padding: str, **arguments: Any) -> Tensor:
        """Convolve; with four copies of the input, each group of filters (a gate) takes one."""
        return ops.conv(x, kernel, padding=padding, data_format=self.data_format, **arguments)

    def _repeat_for_gates(self, x: Tensor) -> Tensor:
        """Repeat the channels for each gate, since each has its own dropout mask."""
        return ops.concatenate([x] * 4, axis=self._channels)

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """Return the masks of the four gates for an input (batch, ...), concatenated along the channels."""
        return super().get_dropout_mask(self._repeat_for_gates(step_input))

    def get_recurrent_dropout_mask(self, state: Tensor) -> Tensor:
        """Return the masks of the four gates for the state, concatenated along the channels."""
        return super().get_recurrent_dropout_mask(self._repeat_for_gates(state))

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        if training and self.recurrent_dropout:
            h = self._repeat_for_gates(h) * self.get_recurrent_dropout_mask(h)
        z = projected + self._convolve(h, self.recurrent_kernel, "same")
        return self._apply_gates(ops.split(z, 4, axis=self._channels), c)

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Return zeros of the output's shape for h and c. The shape is known once the cell is built."""
        shape: Any = (batch_size, *self.output_size)
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)]


class _Cell1D(_ConvLSTMCell):
    rank = 1


class _Cell2D(_ConvLSTMCell):
    rank = 2


class _Cell3D(_ConvLSTMCell):
    rank = 3


class _ConvLSTM(_CellLayer):
    """A recurrent layer with a convolutional cell."""

    cell_class: type[_ConvLSTMCell]

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        self._initialize(constructor_arguments(locals()))

    def _initialize(self, arguments: dict[str, Any]) -> None:
        super()._initialize(arguments)
        self.input_spec = InputSpec(ndim=self.cell_class.rank + 3)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unroll": self.unroll}


@exported("keras.layers")
class ConvLSTM1D(_ConvLSTM):
    """LSTM over sequences of sequences, with convolutions of x[t] and h[t-1] as inputs of the gates.

    Formula: `c = f * c + i * g`, `h = o * activation(c)`, as in `LSTM`. With dropout, each gate has its own
    mask, the same at all steps.

    Shapes: x (batch, steps, length, channels) -> y (batch, length', filters), or (batch, steps, length',
    filters) with `return_sequences`; with `return_state` also h and c. kernel (*kernel_size, channels, 4 *
    filters) with strides, padding and dilation_rate as in `Conv1D`; recurrent_kernel (*kernel_size, filters,
    4 * filters) with padding="same"; bias (4 * filters,).

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        data_format: "channels_last" (batch, steps, ..., channels) or "channels_first" (batch, steps,
            channels, ...); `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function of the output, by name or as a function.
        recurrent_activation: Activation function of the gates.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1 (Jozefowicz et al. 2015).
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        return_sequences: Whether the outputs of all steps are returned instead of the last one.
        return_state: Whether the final states are returned after the output.
        go_backwards: Whether the sequence is processed from its end; outputs are in that order.
        stateful: Whether the final states are the initial states of the next batch.
        **kwargs: `unroll` and `zero_output_for_mask` of `RNN`; arguments of `Layer`: `name`, `dtype`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If a size is unknown, or the kernel larger than a step.

    Example:
        >>> hornbeam.layers.ConvLSTM1D(4, 3, padding="same")(np.ones((2, 5, 8, 3))).shape
        (2, 8, 4)

    Source: Shi et al. 2015.
    """

    cell_class = _Cell1D


@exported("keras.layers")
class ConvLSTM2D(_ConvLSTM):
    """LSTM over sequences of images, with convolutions of x[t] and h[t-1] as inputs of the gates.

    Formulas and weights as in `ConvLSTM1D`; kernel (*kernel_size, channels, 4 * filters).

    Shapes: x (batch, steps, height, width, channels) -> y (batch, h', w', filters), or (batch, steps, h', w',
    filters) with `return_sequences`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        data_format: "channels_last" (batch, steps, ..., channels) or "channels_first" (batch, steps,
            channels, ...); `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function of the output, by name or as a function.
        recurrent_activation: Activation function of the gates.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1 (Jozefowicz et al. 2015).
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        return_sequences: Whether the outputs of all steps are returned instead of the last one.
        return_state: Whether the final states are returned after the output.
        go_backwards: Whether the sequence is processed from its end; outputs are in that order.
        stateful: Whether the final states are the initial states of the next batch.
        **kwargs: `unroll` and `zero_output_for_mask` of `RNN`; arguments of `Layer`: `name`, `dtype`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If a size is unknown, or the kernel larger than a step.

    Example:
        >>> layer = hornbeam.layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)
        >>> layer(np.ones((2, 5, 6, 7, 3))).shape
        (2, 5, 6, 7, 4)

    Source: Shi et al. 2015.
    """

    cell_class = _Cell2D


@exported("keras.layers")
class ConvLSTM3D(_ConvLSTM):
    """LSTM over sequences of volumes, with convolutions of x[t] and h[t-1] as inputs of the gates.

    Formulas and weights as in `ConvLSTM1D`; kernel (*kernel_size, channels, 4 * filters).

    Shapes: x (batch, steps, depth, height, width, channels) -> y (batch, d', h', w', filters), or (batch,
    steps, d', h', w', filters) with `return_sequences`.

    Args:
        filters: Number of output channels.
        kernel_size: Size of the window along each axis; one integer for all axes.
        strides: Steps between windows along each axis; one integer for all axes.
        padding: "valid" (none) or "same" (output size = ceil(input size / stride)). Case is ignored.
        data_format: "channels_last" (batch, steps, ..., channels) or "channels_first" (batch, steps,
            channels, ...); `keras.config.image_data_format()` by default.
        dilation_rate: Distance between elements of a window along each axis; one integer for all axes. Not
            above 1 together with strides above 1.
        activation: Activation function of the output, by name or as a function.
        recurrent_activation: Activation function of the gates.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        unit_forget_bias: Whether the bias of the forget gate starts at 1 (Jozefowicz et al. 2015).
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        return_sequences: Whether the outputs of all steps are returned instead of the last one.
        return_state: Whether the final states are returned after the output.
        go_backwards: Whether the sequence is processed from its end; outputs are in that order.
        stateful: Whether the final states are the initial states of the next batch.
        **kwargs: `unroll` and `zero_output_for_mask` of `RNN`; arguments of `Layer`: `name`, `dtype`, ...

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If a size is unknown, or the kernel larger than a step.

    Example:
        >>> hornbeam.layers.ConvLSTM3D(2, 2)(np.ones((1, 2, 3, 4, 5, 1))).shape
        (1, 2, 3, 4, 2)

    Source: Shi et al. 2015.
    """

    cell_class = _Cell3D
