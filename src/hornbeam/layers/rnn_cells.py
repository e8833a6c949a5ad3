"""Cells, the steps of recurrent layers: SimpleRNNCell, LSTMCell, GRUCell.

A cell of this library has two halves: `project(inputs)`, which does not depend on the state and is computed
for all steps at once, and `advance(projected, states)`, the step itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import activations, ops
from hornbeam._internal.typing import ActivationLike, DTypeLike, Shape
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.layers.config import constructor_arguments
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.rnn_cell_base import _Cell
from hornbeam.ops import recurrent


@exported("keras.layers")
class SimpleRNNCell(_Cell):
    """Step of `SimpleRNN`: `h' = activation(x @ kernel + h @ recurrent_kernel + bias)`. The output is h'.

    Shapes: x (batch, features), h (batch, units); kernel (features, units), recurrent_kernel (units, units),
    bias (units,).

    Args:
        units: Size of the output and of the state.
        activation: Activation function of the output, by name or as a function.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> cell = hornbeam.layers.SimpleRNNCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))
    """

    gates = 1

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**constructor_arguments(locals()))

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h = self.activation(
            projected + ops.matmul(self._drop_state(states[0], training), self.recurrent_kernel)
        )
        return h, [h]


@exported("keras.layers")
class LSTMCell(_Cell):
    """Step of `LSTM`: `c' = f * c + i * g`, `h' = o * activation(c')`. The output is h'.

    The gates are i, f, o = recurrent_activation(z) and g = activation(z) of z = x @ kernel + h @
    recurrent_kernel + bias, split into four in the order i, f, g, o.

    Shapes: x (batch, features), h and c (batch, units); kernel (features, 4 * units), recurrent_kernel
    (units, 4 * units), bias (4 * units,).

    Args:
        units: Size of the output and of the states.
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
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> cell = hornbeam.layers.LSTMCell(4)
        >>> y, (h, c) = cell(np.ones((2, 3)), cell.get_initial_state(2))

    Source: Hochreiter and Schmidhuber 1997.
    """

    gates = 4
    state_count = 2

    def __init__(
        self,
        units: int,
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
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        own = ("recurrent_activation", "unit_forget_bias")
        super().__init__(**constructor_arguments(locals(), omit=own))
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def _bias_initializer(self) -> InitializerLike:
        if not self.unit_forget_bias:
            return self.bias_initializer

        bias_initializer: Any = self.bias_initializer

        def initialize(shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
            input_bias = bias_initializer((self.units,), dtype=dtype)
            forget_bias = ops.ones((self.units,), dtype=dtype)
            other_biases = bias_initializer((2 * self.units,), dtype=dtype)
            return ops.concatenate([input_bias, forget_bias, other_biases], axis=0)

        return initialize

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        z = projected + ops.matmul(self._drop_state(h, training), self.recurrent_kernel)
        return self._apply_gates([z[:, k * self.units : (k + 1) * self.units] for k in range(4)], c)

    def _apply_gates(self, gates: Sequence[Tensor], c: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute the output and the new states from the inputs of the gates and the previous c."""
        i, f, g, o = gates
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]

    def run_sequence(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        mask: Tensor | None,
        reverse: bool,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]] | None:
        if not self._is_plain(LSTMCell, training):
            return None
        projected = self.project(inputs, training)
        h, *last = recurrent.lstm(projected, [self.recurrent_kernel, *states], mask, reverse)
        return h, last


@exported("keras.layers")
class GRUCell(_Cell):
    """Step of `GRU`: `h' = z * h + (1 - z) * g` with update gate z and reset gate r. The output is h'.

    Formula: z, r = recurrent_activation(x @ W + h @ U + b); g = activation(x @ W + r * (h @ U + b2) + b) with
    `reset_after`, as in cuDNN, else g = activation(x @ W + (r * h) @ U + b).

    Shapes: x (batch, features), h (batch, units); kernel (features, 3 * units) in the order z, r, g;
    recurrent_kernel (units, 3 * units); bias (2, 3 * units) with `reset_after`, else (3 * units,).

    Args:
        units: Size of the output and of the state.
        activation: Activation function of the output, by name or as a function.
        recurrent_activation: Activation function of the gates.
        use_bias: Whether a bias is added.
        kernel_initializer: Initializer of the kernel.
        recurrent_initializer: Initializer of the recurrent kernel.
        bias_initializer: Initializer of the bias.
        kernel_regularizer: Penalty on the kernel that is added to the loss.
        recurrent_regularizer: Penalty on the recurrent kernel that is added to the loss.
        bias_regularizer: Penalty on the bias that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        reset_after: Whether the reset gate is applied after the recurrent product (as in cuDNN) instead of
            before it.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> cell = hornbeam.layers.GRUCell(4)
        >>> y, states = cell(np.ones((2, 3)), cell.get_initial_state(2))

    Source: Cho et al. 2014.
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: InitializerLike = "glorot_uniform",
        recurrent_initializer: InitializerLike = "orthogonal",
        bias_initializer: InitializerLike = "zeros",
        kernel_regularizer: RegularizerLike = None,
        recurrent_regularizer: RegularizerLike = None,
        bias_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        own = ("recurrent_activation", "reset_after")
        super().__init__(**constructor_arguments(locals(), omit=own))
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> Any:
        return self.bias[0] if self.reset_after and self.bias is not None else self.bias

    def advance(
        self, projected: Tensor, states: Sequence[Tensor], training: bool | None = False
    ) -> tuple[Tensor, list[Tensor]]:
        h, n = states[0], self.units
        dropped = self._drop_state(h, training)
        x_z, x_r, x_g = (projected[:, k * n : (k + 1) * n] for k in range(3))
        if self.reset_after:
            inner = ops.matmul(dropped, self.recurrent_kernel)
            if self.bias is not None:
                inner = inner + self.bias[1]
            z = self.recurrent_activation(x_z + inner[:, :n])
            r = self.recurrent_activation(x_r + inner[:, n : 2 * n])
            g = self.activation(x_g + r * inner[:, 2 * n :])
        else:
            kernel = self.recurrent_kernel
            inner = ops.matmul(dropped, kernel[:, : 2 * n])
            z = self.recurrent_activation(x_z + inner[:, :n])
            r = self.recurrent_activation(x_r + inner[:, n:])
            g = self.activation(x_g + ops.matmul(r * dropped, kernel[:, 2 * n :]))
        h = z * h + (1 - z) * g
        return h, [h]

    def run_sequence(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        mask: Tensor | None,
        reverse: bool,
        training: bool | None,
    ) -> tuple[Tensor, list[Tensor]] | None:
        if not (self.reset_after and self._is_plain(GRUCell, training)):
            return None
        x = self.project(inputs, training)
        bias = ops.zeros((3 * self.units,), dtype=x.dtype) if self.bias is None else self.bias[1]
        h, *last = recurrent.gru(x, [self.recurrent_kernel, bias, *states], mask, reverse)
        return h, last
