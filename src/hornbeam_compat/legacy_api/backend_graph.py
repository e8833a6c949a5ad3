"""Functions of `keras.backend` that Keras 1 and 2 had on their static graph: `function` and `gradients`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hornbeam import KerasTensor, Model, Operation, Tensor, Variable, ops
from hornbeam import gradients as core_gradients
from hornbeam.extensions.tensors import as_tensor
from hornbeam.extensions.tracing import retain_graph

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import TensorLike

# Name -> its replacement.
REPLACEMENTS = {
    "function": "keras.Model(inputs, outputs)",
    "gradients": "tf.GradientTape, or hornbeam.value_and_grad",
}
Arrays = np.ndarray | list[np.ndarray]


def function(
    inputs: KerasTensor | Sequence[KerasTensor | int],
    outputs: KerasTensor | Sequence[KerasTensor],
    updates: object = None,
    name: str | None = None,
    **unused: object,
) -> Callable[..., Arrays]:
    """Return a function from arrays for the symbolic `inputs` to arrays of the `outputs`."""
    # The learning phase was an input; now it is the argument `training`.
    listed = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    tensors = [x for x in listed if not isinstance(x, int)]
    is_single = not isinstance(outputs, (list, tuple))
    model = Model(tensors, [outputs] if is_single else list(outputs))

    def call(values: TensorLike | Sequence[TensorLike]) -> Arrays:
        arrays = list(values) if isinstance(values, (list, tuple)) else [values]
        training = len(arrays) > len(tensors) and bool(arrays[len(tensors)])
        with retain_graph():
            results = model(arrays[: len(tensors)], training=training)
        results = results if isinstance(results, (list, tuple)) else [results]
        result_arrays = [np.array(x) for x in results]
        return result_arrays[0] if is_single else result_arrays

    return call


def gradients(
    loss: KerasTensor, variables: KerasTensor | Variable | Sequence[KerasTensor | Variable]
) -> list[KerasTensor | None]:
    """Compute the gradients of the sum of a symbolic tensor.

    Args:
        loss: Symbolic tensor.
        variables: Symbolic tensor or Variable on which it depends, or a list of them.

    Returns:
        List of symbolic tensors; None for what the loss does not depend on.
    """
    sources = list(variables) if isinstance(variables, (list, tuple)) else [variables]
    ancestors = _ancestors(loss)
    known = [x for x in sources if not isinstance(x, KerasTensor) or id(x) in ancestors]
    results = iter(Gradients()(loss, *known) if known else ())
    return [next(results) if any(x is y for y in known) else None for x in sources]


class Gradients(Operation):
    """Gradients of a sum: values remember how they were computed from one another."""

    def call(self, loss: TensorLike, *sources: TensorLike) -> list[Tensor]:
        total = as_tensor(loss)
        return core_gradients(total if total.shape == () else ops.sum(total), [as_tensor(x) for x in sources])


def _ancestors(tensor: KerasTensor) -> set[int]:
    """Return the ids of all symbolic tensors from which a tensor is computed, itself included."""
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        x = stack.pop()
        if id(x) not in seen:
            seen.add(id(x))
            stack += x.history.inputs if x.history is not None else []
    return seen
