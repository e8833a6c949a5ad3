"""Recurrent networks: a loop in the graph, or one operation for all steps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from keras.src import activations, tree

from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import gru as all_steps_of_gru
from hornbeam.extensions.tensors import lstm as all_steps_of_lstm
from keras_hornbeam.src.ops.core import Tree, convert_to_tensor

if TYPE_CHECKING:
    from keras.src.layers import Layer

# The last output, all outputs, and the states.
Outputs = tuple[Tensor, Tensor, list[Tensor]]

# True while a layer calls `lstm` or `gru` that wants zeros for masked steps: Keras does not pass this on.
_zero_output = ContextVar("masked steps give zeros", default=False)


def tell_zero_output(module: ModuleType) -> None:
    """Let `inner_loop` of a layer tell `lstm` and `gru` its `zero_output_for_mask`."""
    layer = module.LSTM if hasattr(module, "LSTM") else module.GRU
    original = layer.inner_loop

    @functools.wraps(original)
    def inner_loop(self: Layer, *args: object, **kwargs: object) -> Tree:
        token = _zero_output.set(self.zero_output_for_mask)
        try:
            return original(self, *args, **kwargs)
        finally:
            _zero_output.reset(token)

    layer.inner_loop = inner_loop


def rnn(
    step_function: Callable[[Tree, list[Tree]], tuple[Tree, Sequence[Tree]]],
    inputs: Tree,
    initial_states: Sequence[Tree],
    go_backwards: bool = False,
    mask: Tensor | None = None,
    constants: Sequence[Tree] | None = None,
    unroll: bool = False,
    input_length: int | None = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Tree, Tree, list[Tree]]:
    """Call `step_function` for each step of time; returns the last output, all outputs and the states.

    A step that the mask leaves out repeats the last output (or zeros), and keeps the states.
    """
    constants = list(constants or [])

    def first_axis(x: Tensor) -> Tensor:
        x = x if time_major else ops.swapaxes(x, 0, 1)
        return ops.flip(x, axis=0) if go_backwards else x

    xs = tree.map_structure(first_axis, inputs)
    kept = None if mask is None else first_axis(ops.cast(mask, "bool"))
    if kept is not None and len(kept.shape) == 3:
        kept = kept[:, :, 0]
    states = list(initial_states)

    def step(carry: tuple[Tree, list[Tree]], at: Tree) -> tuple[tuple[Tree, list[Tree]], Tree]:
        last, states = carry
        x, keep = at if kept is not None else (at, None)
        output, new = step_function(x, [*states, *constants])
        if keep is not None:
            other = tree.map_structure(ops.zeros_like, output) if zero_output_for_mask else last
            output = tree.map_structure(lambda a, b: _where(keep, a, b), output, other)
            new = tree.map_structure(lambda a, b: _where(keep, a, b), list(new), list(states))
        return (output, list(new)), (output if return_all_outputs else None)

    first = tree.map_structure(lambda x: x[0], xs)
    blank = tree.map_structure(ops.zeros_like, step_function(first, [*states, *constants])[0])
    (last, states), outputs = ops.scan(step, (blank, states), xs if kept is None else (xs, kept))
    if not return_all_outputs:
        outputs = tree.map_structure(lambda x: x[None], last)
    if not time_major:
        outputs = tree.map_structure(lambda x: ops.swapaxes(x, 0, 1), outputs)
    return last, outputs, states


def _where(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return ops.where(ops.reshape(keep, (-1, *[1] * (len(new.shape) - 1))), new, old)


def cudnn_ok(*args: object, **kwargs: object) -> bool:
    """Return False: Keras asks for kernels of CUDA."""
    return False


def lstm(
    inputs: Tensor,
    initial_state_h: Tensor,
    initial_state_c: Tensor,
    mask: Tensor | None,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    activation: object,
    recurrent_activation: object,
    return_sequences: bool = False,
    go_backwards: bool = False,
    unroll: bool = False,
) -> Outputs:
    """Run an LSTM in one operation; returns the last output, all outputs and the states."""
    _check_fused(inputs, activation, recurrent_activation, unroll)
    mask = _steps(mask)
    others = [recurrent_kernel, initial_state_h, initial_state_c]
    outputs, *states = all_steps_of_lstm(_projected(inputs, kernel, bias), others, mask, go_backwards)
    return _packed(outputs, states, mask, return_sequences, go_backwards)


def gru(
    inputs: Tensor,
    initial_state: Tensor,
    mask: Tensor | None,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    activation: object,
    recurrent_activation: object,
    return_sequences: bool = False,
    go_backwards: bool = False,
    unroll: bool = False,
    reset_after: bool = True,
) -> Outputs:
    """Run a GRU in one operation; returns the last output, all outputs and the states."""
    _check_fused(inputs, activation, recurrent_activation, unroll or not reset_after)
    if bias is None:
        bias = ops.zeros((2, kernel.shape[-1]), dtype=inputs.dtype)
    rows = convert_to_tensor(bias)
    mask = _steps(mask)
    others = [recurrent_kernel, rows[1], initial_state]
    outputs, *states = all_steps_of_gru(_projected(inputs, kernel, rows[0]), others, mask, go_backwards)
    return _packed(outputs, states, mask, return_sequences, go_backwards)


def _check_fused(inputs: Tensor, activation: object, gate: object, other: bool) -> None:
    """Raise NotImplementedError, upon which Keras calls `rnn`, if there is no operation for all steps."""
    plain = activation is activations.tanh and gate is activations.sigmoid
    if not plain or other or len(inputs.shape) != 3:
        raise NotImplementedError


def _steps(mask: Tensor | None) -> Tensor | None:
    """Return the mask of the steps (batch, steps), or None."""
    if mask is None:
        return None
    mask = ops.cast(mask, "bool")
    return mask[:, :, 0] if len(mask.shape) == 3 else mask


def _projected(inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    x = ops.matmul(inputs, kernel)
    return x if bias is None else ops.add(x, bias)


def _packed(
    outputs: Tensor, states: list[Tensor], mask: Tensor | None, return_sequences: bool, backwards: bool
) -> Outputs:
    """Return the last output, the outputs in the order of the steps, and the states, as `rnn` does."""
    last = states[0]
    if backwards:
        outputs = ops.flip(outputs, 1)
    if mask is not None:
        mask = ops.flip(mask, 1) if backwards else mask
        # Before the first step that is kept there is no output to repeat, so it is zeros.
        shown = mask if _zero_output.get() else ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0
        last = ops.where(shown[:, -1:], last, ops.zeros_like(last))
        outputs = ops.where(shown[:, :, None], outputs, ops.zeros_like(outputs))
    return last, outputs if return_sequences else ops.expand_dims(last, 1), states


def bidirectional_lstm(*args: object, **kwargs: object) -> NoReturn:
    """Raise NotImplementedError: Keras calls the layer for each direction then."""
    raise NotImplementedError


bidirectional_gru = bidirectional_lstm
