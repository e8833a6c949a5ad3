"""Intermediate values of a model on a batch, layer by layer, without side effects."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from hornbeam import ops, tree
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor
from hornbeam.core.grad import gradients
from hornbeam.core.jit import Compiled, trace_for
from hornbeam.core.lazy import retain_graph
from hornbeam.core.scopes import StatelessScope
from hornbeam.core.tensor import Tensor
from hornbeam.engines import current_engine
from hornbeam.engines.base import Engine
from hornbeam.ir.graph import Graph
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import is_float
from hornbeam.layers import Layer
from hornbeam.layers.context import layer_call_hook
from hornbeam.models import Model
from hornbeam.random import random_state, set_random_state
from hornbeam.training.batches import global_signature, putter
from hornbeam.training.packing import Batch, Signature, make_batch, unpack_x_y_sample_weight
from hornbeam.training.step import with_floatx
from hornbeam.training.steps import host_part, training_state


class CapturedCall(NamedTuple):
    """One call of a layer: its input tensors, and its output tensors."""

    layer: Layer
    inputs: list[Tensor]
    outputs: list[Tensor]


@contextmanager
def capture_layer_calls() -> Iterator[list[CapturedCall]]:
    """Record every call of a layer in the list, the calls inside of a layer before its own.

    Calls in the bodies of loops (cells of recurrent layers) have no values outside and are omitted.
    """
    level, calls = current_level(), []

    def record(layer: Layer, run: Any) -> Any:
        outputs = run()
        arguments = [*run.args, *run.keywords.values()] if isinstance(run, functools.partial) else []
        tensors = _tensors(outputs)
        if all(tensor.node.level <= level for tensor in tensors):
            calls.append(CapturedCall(layer, _tensors(arguments), tensors))
        return outputs

    with layer_call_hook(record):
        yield calls


def _tensors(structure: Tree) -> list[Tensor]:
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Tensor) and not leaf.symbolic]


@contextmanager
def preserve_rng_state() -> Iterator[None]:
    """Restore the random generators after the block, such as code of the user's that is traced once more."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


class Probe:
    """`fn(data)` for batches of a signature, compiled for `engine`, without its side effects.

    Only the results are kept; assignments (weights, batch statistics, random states) are dropped. eager: run
    line by line instead, as `compile(run_eagerly=True)` does.
    """

    def __init__(
        self,
        fn: Callable[[Any], Any],
        signature: Signature,
        engine: Engine | None = None,
        eager: bool = False,
    ) -> None:
        self._fn = fn
        self._compiled: Compiled | None = None
        if eager:
            return
        engine = engine or current_engine()
        with preserve_rng_state():
            types = global_signature(signature, engine).packed
            traced = trace_for(engine, lambda data: fn(with_floatx(data)), [types])
        traced.graph = Graph(traced.graph.inputs, traced.outputs)
        traced.updated = []
        self._compiled = Compiled(traced, engine, putter(engine))

    def __call__(self, batch: Batch) -> Tree:
        """Return the result of `fn` as NumPy arrays."""
        if self._compiled is not None:
            return tree.map_structure(_array, self._compiled(batch.leaves))
        with preserve_rng_state(), retain_graph(), StatelessScope():
            tensors = tree.map_structure(lambda x: None if x is None else as_tensor(x), batch.packed)
            return tree.map_structure(_array, self._fn(with_floatx(tensors)))


def _array(x: Tree) -> Any:
    return np.array(x) if isinstance(x, Tensor) else x


class LayerValues(NamedTuple):
    """Values of a layer for a batch.

    path: of the layer. output: its first output. gradient: of the loss with respect to that output, None
    without targets or if the loss does not depend on it.
    """

    path: str
    layer: Layer
    output: np.ndarray
    gradient: np.ndarray | None


def layer_values(
    model: Model, x: Tree, y: Tree = None, sample_weight: Tree = None, training: bool = False
) -> list[LayerValues]:
    """Compute the outputs of all layers of a built model for a batch, in the order of their calls.

    With targets and a compiled loss, also the gradients of the loss with respect to them. Weights and random
    states stay as they are.

    Args:
        model: The model.
        x: Arrays of inputs, as for `train_on_batch`.
        y: Arrays of targets, or None.
        sample_weight: Weights of the samples, or None.
        training: True for the behaviour of layers in training (dropout, statistics of the batch).

    Returns:
        A `LayerValues` for each call of a layer.

    Raises:
        ValueError: With targets, for a model that is not compiled.

    Example:
        >>> for value in layer_values(model, x[:32]): print(value.path, value.output.std())  # doctest: +SKIP
    """
    if y is not None:
        training_state(model).require_compiled("layer_values")
    data = make_batch(host_part(model)(x), y, sample_weight)
    captured: list[CapturedCall] = []

    def run(batch: Any) -> Any:
        inputs, targets, weights = unpack_x_y_sample_weight(batch)
        with capture_layer_calls() as calls:
            y_pred = model(inputs, training=training)
        captured[:] = [call for call in calls if call.outputs]
        outputs = [call.outputs[0] for call in captured]
        if targets is None:
            return outputs, [None] * len(outputs)
        loss = training_state(model).loss_of_batch(inputs, targets, y_pred, weights, training)
        by_float = iter(gradients(loss, [tensor for tensor in outputs if is_float(tensor.dtype)]))
        return outputs, [next(by_float) if is_float(tensor.dtype) else None for tensor in outputs]

    probe = Probe(run, data.signature())
    layers = [call.layer for call in captured]
    outputs, output_gradients = probe(data)
    rows = zip(layers, outputs, output_gradients, strict=True)
    return [LayerValues(layer.path, layer, output, gradient) for layer, output, gradient in rows]


def rms(x: Tree) -> Tensor:
    """Compute the root mean square of all entries, a float32 scalar; 0 for an empty tensor."""
    x = ops.cast(as_tensor(x), "float32")
    return ops.sqrt(ops.mean(ops.square(x))) if ops.size(x) else ops.zeros((), "float32")
