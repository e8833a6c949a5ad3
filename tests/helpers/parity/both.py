"""The same thing on both sides: built from one text, given one set of weights, run and differentiated.

Keras runs in one compiled function a case: JAX compiles every operation that is called by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.src.backend.common.masking import get_keras_mask

import hornbeam
from tests.helpers.parity.comparison import leaves

SIDES: tuple[ModuleType, ModuleType] = (hornbeam, keras)


@contextmanager
def numpy_initial_values() -> Iterator[None]:
    """Inside, Keras's initial values come from NumPy, without a compilation a shape.

    For tests that replace the values before they compute with them.
    """
    variable = keras.src.backend.jax.core.JaxVariable
    previous = variable._initialize_with_initializer
    rng = np.random.default_rng(0)

    def initialize(self: Any, initializer: Any) -> None:
        kind = type(initializer).__name__
        if kind in ("Zeros", "Ones"):
            value = np.full(self._shape, float(kind == "Ones"))
        elif type(initializer).__module__.endswith("random_initializers"):
            value = rng.normal(0.0, 0.3, self._shape)
        else:
            previous(self, initializer)
            return
        self._initialize(self._convert_to_tensor(value.astype("float32"), dtype=self._dtype))

    variable._initialize_with_initializer = initialize
    try:
        yield
    finally:
        variable._initialize_with_initializer = previous


def set_random_weights(layer: Any, rng: np.random.Generator, positive: bool = True) -> None:
    """Random values for the float weights; positive where some of them may be variances."""

    def draw(weight: Any) -> np.ndarray:
        value = np.asarray(weight)
        if "float" not in str(value.dtype):
            return value
        drawn = rng.normal(size=value.shape) * 0.3
        return (np.abs(drawn) + 0.1 if positive else drawn).astype("float32").astype(value.dtype)

    layer.set_weights([draw(weight) for weight in layer.weights])


class Run(NamedTuple):
    """Results of one call of a layer or model."""

    outputs: Any
    masks: list[Any]
    losses: list[Any]
    state: list[Any]
    by_weights: list[Any]
    by_inputs: list[Any]


def run_keras(layer: Any, args: list[Any], call: dict[str, Any], gradients: bool = True) -> Run:
    """Call Keras's layer, and differentiate the sum of its outputs and losses."""
    variables = [*layer.trainable_variables, *layer.non_trainable_variables]
    fixed = layer.non_trainable_variables

    def forward(values: list[Any], floats: list[Any], rest: list[Any]) -> Any:
        # Not layer.stateless_call, which leaves out what __call__ does: casts, masks, penalties.
        pairs = list(zip(variables, [*values, *rest], strict=True))
        with keras.StatelessScope(pairs, collect_losses=True) as scope:
            outputs = layer(*replaced(args, floats, jnp.asarray), **call)
            losses = list(layer.losses)
        state = [scope.get_current_value(v) for v in fixed]
        state = [v.value if s is None else s for s, v in zip(state, fixed, strict=True)]
        return total(jnp, outputs, losses), (outputs, [mask_of(y) for y in leaves(outputs)], losses, state)

    inputs = ([v.value for v in layer.trainable_variables], floats_in(args), [v.value for v in fixed])
    if gradients:
        (_, result), derivatives = jax.jit(jax.value_and_grad(forward, (0, 1), has_aux=True))(*inputs)
    else:
        (_, result), derivatives = jax.jit(forward)(*inputs), ([], [])
    layer._clear_losses()
    return Run(*result, *derivatives)


def run_ours(layer: Any, args: list[Any], call: dict[str, Any], gradients: bool = True) -> Run:
    """As `run_keras`."""
    fixed = layer.non_trainable_variables

    def forward(values: list[Any], floats: list[Any], rest: list[Any]) -> Any:
        outputs, state, losses = layer.stateless_call(
            values, rest, *replaced(args, floats), return_losses=True, **call
        )
        masks = [mask_of(y) for y in leaves(outputs)]
        return total(hornbeam.ops, outputs, losses), (outputs, masks, losses, state)

    inputs = (list(layer.trainable_variables), floats_in(args), [v.value for v in fixed])
    if gradients:
        (_, result), derivatives = hornbeam.value_and_grad(forward, (0, 1), has_aux=True)(*inputs)
    else:
        (_, result), derivatives = forward(*inputs), ([], [])
    return Run(*result, *derivatives)


def total(numpy: Any, outputs: Any, losses: list[Any]) -> Any:
    """A number in which every output and loss counts."""
    flat = leaves(outputs)
    result = sum(losses, numpy.zeros(()))
    for y, factor in zip(flat, derivatives(flat), strict=True):
        if factor is not None:
            result = result + numpy.sum(y * numpy.array(factor, y.dtype))
    return result


def derivatives(outputs: list[Any]) -> list[np.ndarray | None]:
    """Return the factors of each output in the sum that is differentiated; None for integers."""
    return [
        np.cos(np.arange(np.prod(y.shape, dtype=int), dtype="float32")).reshape(tuple(y.shape))
        if y is not None and "float" in str(y.dtype)
        else None
        for y in outputs
    ]


def is_float_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def floats_in(structure: Any) -> list[np.ndarray]:
    """The float arrays of a structure."""
    if isinstance(structure, dict):
        return [x for value in structure.values() for x in floats_in(value)]
    if isinstance(structure, (list, tuple)):
        return [x for value in structure for x in floats_in(value)]
    return [structure] if is_float_array(structure) else []


def replaced(
    structure: Any, floats: list[Any], tensor: Callable[[Any], Any] = hornbeam.ops.convert_to_tensor
) -> Any:
    """The structure with its float arrays replaced, in order, and other arrays as tensors."""
    rest = iter(floats)

    def put(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: put(value) for key, value in x.items()}
        if isinstance(x, (list, tuple)):
            return [put(value) for value in x]
        if is_float_array(x):
            return next(rest)
        return tensor(x) if isinstance(x, np.ndarray) else x

    return put(structure)


def mask_of(x: Any) -> Any:
    """The mask that a tensor carries, on either side."""
    return x._keras_mask if isinstance(x, hornbeam.Tensor) else get_keras_mask(x)


def symbols(side: ModuleType, structure: Any, batch: int | None = None) -> Any:
    """Symbolic inputs in place of arrays, of an unknown batch unless one is given."""
    if isinstance(structure, (list, tuple)):
        return [symbols(side, part, batch) for part in structure]
    return side.Input(batch_shape=(batch, *structure.shape[1:]), dtype=structure.dtype.name)
