"""What a model computes on a batch, layer by layer, without a trace of having been looked at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from hornbeam import ops, tree
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
from hornbeam.layers.context import layer_call_hook
from hornbeam.random import random_state, set_random_state
from hornbeam.training.batches import global_signature, putter
from hornbeam.training.packing import Batch, Signature, make_batch, unpack_x_y_sample_weight
from hornbeam.training.step import with_floatx


class Call(NamedTuple):
    """One call of a layer: the tensors it was given and those that it returned."""

    layer: Any
    inputs: list[Tensor]
    outputs: list[Tensor]


@contextmanager
def capture_layer_calls() -> Iterator[list[Call]]:
    """Inside, every call of a layer is noted in the list, the inner ones of a layer before its own.

    Calls in the bodies of loops (cells of recurrent layers) have no values outside and are left out.
    """
    level, found = current_level(), []

    def watch(layer: Any, run: Any) -> Any:
        outputs = run()
        given = [*run.args, *run.keywords.values()] if isinstance(run, functools.partial) else []
        made = _tensors(outputs)
        if all(tensor.node.level <= level for tensor in made):
            found.append(Call(layer, _tensors(given), made))
        return outputs

    with layer_call_hook(watch):
        yield found


def _tensors(structure: Any) -> list[Tensor]:
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, Tensor) and not leaf.symbolic]


@contextmanager
def preserve_rng_state() -> Iterator[None]:
    """Whatever draws inside (code of the user's that is traced once more), the generators stand where they
    did."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)


class Probe:
    """`fn(data)` for batches of `types`, compiled for `engine`, of which only the results are kept: what it
    assigns (weights, batch statistics, random states) is thrown away.

    eager: run it line by line instead, as `compile(run_eagerly=True)` does.
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

    def __call__(self, batch: Batch) -> Any:
        """What `fn` returned, as NumPy arrays."""
        if self._compiled is not None:
            return tree.map_structure(_array, self._compiled(batch.leaves))
        with preserve_rng_state(), retain_graph(), StatelessScope():
            tensors = tree.map_structure(lambda x: None if x is None else as_tensor(x), batch.packed)
            return tree.map_structure(_array, self._fn(with_floatx(tensors)))


def _array(x: Any) -> Any:
    return np.array(x) if isinstance(x, Tensor) else x


class LayerValues(NamedTuple):
    """What a layer gave for a batch: its path, the layer, its first output, and the derivative of the loss by
    it (None without targets, or where the loss does not depend on it)."""

    path: str
    layer: Any
    output: np.ndarray
    gradient: np.ndarray | None


def layer_values(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None, training: bool = False
) -> list[LayerValues]:
    """Outputs of all layers of a built model for a batch, in the order of their calls; with targets, and a
    compiled loss, the derivatives of the loss by them too. Weights and random states stay as they are.

    x, y, sample_weight: arrays, as for `train_on_batch`. training: whether layers behave as in training
    (dropout, statistics of the batch).

    Raises ValueError with targets for a model that is not compiled.

    >>> for value in layer_values(model, x[:32]): print(value.path, value.output.std())  # doctest: +SKIP
    """
    if y is not None:
        model._require_compiled("layer_values")
    data = make_batch(model._run_host_layers(x), y, sample_weight)
    found: list[Call] = []

    def run(batch: Any) -> Any:
        inputs, targets, weights = unpack_x_y_sample_weight(batch)
        with capture_layer_calls() as calls:
            y_pred = model(inputs, training=training)
        found[:] = [call for call in calls if call.outputs]
        outputs = [call.outputs[0] for call in found]
        if targets is None:
            return outputs, [None] * len(outputs)
        loss = model.compute_loss(
            x=inputs, y=targets, y_pred=y_pred, sample_weight=weights, training=training
        )
        wanted = [tensor for tensor in outputs if is_float(tensor.dtype)]
        slopes = iter(gradients(loss, wanted))
        return outputs, [next(slopes) if is_float(tensor.dtype) else None for tensor in outputs]

    probe = Probe(run, data.signature())
    layers = [call.layer for call in found]
    outputs, slopes = probe(data)
    rows = zip(layers, outputs, slopes, strict=True)
    return [LayerValues(layer.path, layer, output, slope) for layer, output, slope in rows]


def rms(x: Any) -> Tensor:
    """The root of the mean square of all entries, a float32 scalar; 0 for none."""
    x = ops.cast(as_tensor(x), "float32")
    return ops.sqrt(ops.mean(ops.square(x))) if ops.size(x) else ops.zeros((), "float32")
