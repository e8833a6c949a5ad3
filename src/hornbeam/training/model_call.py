"""`model(x)` in eager code: the model as one node, traced once for each shape."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor
from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import evaluate, retains_graph
from hornbeam.core.symbolic import holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import current_variable_tracer
from hornbeam.engines import current_engine
from hornbeam.errors import ValueNeededError
from hornbeam.ir.trace import current_level
from hornbeam.layers import Layer
from hornbeam.layers.context import current_call_hook, current_context
from hornbeam.layers.tracking import Tracked
from hornbeam.layers.weights import flatten_layers
from hornbeam.training.inference_plan import InferencePlan, WeightCache
from hornbeam.training.steps import Steps, training_state


class ModelCall:
    """A model as a graph from its variables and one array to its outputs."""

    def __init__(self, traced: Traced, cache: WeightCache) -> None:
        self.traced = traced
        self.variables, self.captured = traced.variables, traced.captured
        evaluate(self.captured)
        weights = len(self.variables) + len(self.captured)
        self.plan = traced.graph.plan = InferencePlan(traced.graph, weights, current_engine(), cache)

    def __call__(self, x: Tensor) -> Tree:
        weights = [variable._node for variable in self.variables]
        nodes = p.call(self.traced.graph, *weights, *self.captured, x.node)
        return self.traced.pack([Tensor(node) for node in nodes])


class CachedCall(NamedTuple):
    """Result of tracing a model, and the count of changes to layers at that time."""

    call: ModelCall | None
    changes: int


def call_as_one_node(model: Steps, x: Tree) -> Tree:
    """Compute `model(x)` as one node. Returns None if each layer has to be called.

    That is so inside of traces and of other layers, under hooks on layer calls and tapes that need all
    intermediate values, for models that are not built, that hold layers or functions of the user's (which may
    print, count or draw random numbers), that assign variables, add losses or pass masks on.
    """
    if (type(x) is not np.ndarray and type(x) is not Tensor) or holds_strings(x):
        return None
    if current_level() or current_variable_tracer() is not None or current_context() is not None:
        return None
    if current_call_hook() is not None or retains_graph() or not model.built:
        return None
    calls = training_state(model).calls
    key = (x.shape, x.dtype, current_engine())
    cached = calls.get(key)
    if cached is None or cached.changes != Tracked.changes:
        cached = calls[key] = CachedCall(_trace(model, x), Tracked.changes)
    return None if cached.call is None else cached.call(as_tensor(x))


def _trace(model: Steps, x: Tree) -> ModelCall | None:
    """Trace the model on arrays like `x`. Returns None if one node cannot represent it."""
    layers = flatten_layers(model)
    if any(getattr(layer, "on_host", False) for layer in layers):
        return None
    if not all(_is_ours(layer) for layer in layers) or (type(x) is Tensor and x._keras_mask is not None):
        return None
    try:
        traced = trace_for(current_engine(), functools.partial(Layer.__call__, model), [x])
    except ValueNeededError:
        return None
    results = tree.flatten(traced.result)
    if traced.updated or any(layer._losses for layer in layers):
        return None
    if not all(type(result) is Tensor and result._keras_mask is None for result in results):
        return None
    return ModelCall(traced, training_state(model).weight_cache)


def _is_ours(layer: Layer) -> bool:
    """Return whether a layer and the functions among its attributes are Hornbeam's."""
    if not is_own(type(layer)) or type(layer).__name__ == "Lambda":
        return False
    return all(is_own(value) or is_own(type(value)) for value in vars(layer).values() if callable(value))
