"""Recurrent layers with cells of their own: SimpleRNN, LSTM, GRU."""

from __future__ import annotations

from typing import Any

from hornbeam._internal.call_errors import accepted_arguments
from hornbeam._internal.typing import ActivationLike
from hornbeam._internal.validation import check_choice
from hornbeam.core.configurable import argument_names
from hornbeam.core.registry import exported
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Self, Unpack
from hornbeam.layers.config import BASE_ARGUMENTS, constructor_arguments, serialize_argument
from hornbeam.layers.layer import Layer
from hornbeam.layers.options import LayerOptions
from hornbeam.layers.rnn import RNN, sequence_spec
from hornbeam.layers.rnn_cells import (
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
)


class _CellLayer(RNN):
    """A recurrent layer with one class of cell, whose arguments it takes and has as attributes."""

    cell_class: type[Layer]
    # Names of the arguments that are passed on to the cell.
    _cell_arguments: frozenset[str]
    _not_in_config = frozenset({"use_cudnn"})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "cell_class" in vars(cls):
            names = set(argument_names(cls)).intersection(accepted_arguments(cls.cell_class))
            cls._cell_arguments = frozenset(names.difference(BASE_ARGUMENTS))

    def _initialize(self, arguments: dict[str, Any]) -> None:
        """Make the cell and the layer around it. Not `__init__`, which takes a cell, as that of RNN."""
        arguments.pop("implementation", None)  # the engine chooses it
        cudnn = arguments.pop("use_cudnn", None)
        names = self._cell_arguments
        layer_arguments = {name: value for name, value in arguments.items() if name not in names}
        cell_arguments = {name: value for name, value in arguments.items() if name in names}
        shared = {name: layer_arguments[name] for name in ("dtype", "trainable") if name in layer_arguments}
        super().__init__(self.cell_class(**cell_arguments, **shared), **layer_arguments)
        self.input_spec = sequence_spec(ndim=3)
        if cudnn is not None:
            self.use_cudnn = check_choice(
                "use_cudnn", cudnn, ("auto", True, False), where=type(self).__name__
            )

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("cell")
        if cell is not None and name in self._cell_arguments:
            return getattr(cell, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["zero_output_for_mask"] = self.zero_output_for_mask
        config["activity_regularizer"] = serialize_argument(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)


@exported("keras.layers")
class SimpleRNN(_CellLayer):
    """Fully connected recurrent layer.

    Formula: `h[t] = activation(x[t] @ kernel + h[t-1] @ recurrent_kernel + bias)`.

    Weights as in `SimpleRNNCell`; calls as in `RNN`.

    Shapes: x (batch, steps, features) -> y (batch, units), or (batch, steps, units) with `return_sequences`.

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
        activity_regularizer: Penalty on the output that is added to the loss.
        kernel_constraint: Function applied to the kernel after each update.
        recurrent_constraint: Function applied to the recurrent kernel after each update.
        bias_constraint: Function applied to the bias after each update.
        dropout: Fraction of the inputs that are dropped in training, in [0, 1).
        recurrent_dropout: Fraction of the recurrent state that is dropped in training, in [0, 1).
        return_sequences: Whether the outputs of all steps are returned instead of the last one.
        return_state: Whether the final states are returned after the output.
        go_backwards: Whether the sequence is processed from its end; outputs are in that order.
        stateful: Whether the final states are the initial states of the next batch.
        unroll: Whether the loop over steps is unrolled: faster for short sequences, with a larger graph.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `zero_output_for_mask` of `RNN`; arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> hornbeam.layers.SimpleRNN(4)(np.ones((2, 5, 3))).shape
        (2, 4)

    Source: Elman 1990.
    """

    cell_class = SimpleRNNCell

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
        activity_regularizer: RegularizerLike = None,
        kernel_constraint: ConstraintLike = None,
        recurrent_constraint: ConstraintLike = None,
        bias_constraint: ConstraintLike = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        self._initialize(constructor_arguments(locals()))


@exported("keras.layers")
class LSTM(_CellLayer):
    """Long short-term memory: `c = f * c + i * g`, `h = o * activation(c)`.

    Weights and formulas as in `LSTMCell`; calls as in `RNN`. The products of all inputs with the kernel are
    one matrix product before the loop.

    Shapes: x (batch, steps, features) -> y (batch, units), or (batch, steps, units) with `return_sequences`;
    with `return_state` also h and c.

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
        unroll: Whether the loop over steps is unrolled: faster for short sequences, with a larger graph.
        use_cudnn: True, False or "auto"; only kept as an attribute: the engine chooses the kernel.
        **kwargs: `zero_output_for_mask` of `RNN`; arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> hornbeam.layers.LSTM(4)(np.ones((2, 5, 3))).shape
        (2, 4)

    Source: Hochreiter and Schmidhuber 1997.
    """

    cell_class = LSTMCell

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
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        self._initialize(constructor_arguments(locals()))


@exported("keras.layers")
class GRU(_CellLayer):
    """Gated recurrent unit: `h = z * h + (1 - z) * g`.

    Weights and formulas as in `GRUCell`; calls as in `RNN`.

    Shapes: x (batch, steps, features) -> y (batch, units), or (batch, steps, units) with `return_sequences`.

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
        unroll: Whether the loop over steps is unrolled: faster for short sequences, with a larger graph.
        reset_after: Whether the reset gate is applied after the recurrent product (as in cuDNN) instead of
            before it.
        use_cudnn: True, False or "auto"; only kept as an attribute: the engine chooses the kernel.
        **kwargs: `zero_output_for_mask` of `RNN`; arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `units` is below 1 or a rate is outside [0, 1).

    Example:
        >>> hornbeam.layers.GRU(4)(np.ones((2, 5, 3))).shape
        (2, 4)

    Source: Cho et al. 2014.
    """

    cell_class = GRUCell

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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        self._initialize(constructor_arguments(locals()))
