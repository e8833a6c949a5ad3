"""`model(x)` in eager code: the model as one node, traced once for each signature."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.convert import as_tensor
from hornbeam.core.jit import Traced, trace_for
from hornbeam.core.lazy import evaluate, retains_graph, share_plan
from hornbeam.core.symbolic import holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import current_variable_tracer
from hornbeam.engines import current_engine
from hornbeam.errors import ValueNeededError
from hornbeam.ir.complex_pairs import unpack_array
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level
from hornbeam.layers import Layer
from hornbeam.layers.context import current_call_hook, current_context
from hornbeam.layers.host_checks import Notes, StepChecks, noted_indices
from hornbeam.layers.tracking import Tracked
from hornbeam.layers.weights import flatten_layers
from hornbeam.training.batches import putter
from hornbeam.training.inference_plan import InferencePlan, WeightCache
from hornbeam.training.steps import Steps, training_state

# Arrays of integers up to this size may decide shapes, which are traced for each of their values; so many of
# them, after which a model is called layer by layer.
VALUES, VERSIONS = 64, 16


class ModelCall:
    """A model as a graph from its variables and arrays to its outputs.

    leaves: positions of the arrays among the leaves of a call's argument.
    """

    def __init__(self, traced: Traced, notes: Notes, leaves: list[int], cache: WeightCache) -> None:
        self.traced = traced
        self.leaves = leaves
        self.variables, self.captured = traced.variables, traced.captured
        evaluate(self.captured)
        weights, engine = len(self.variables) + len(self.captured), current_engine()
        self._check_values = StepChecks(notes, traced.graph.inputs[weights:])
        self._put, self._get = putter(engine), engine.get
        self.plan = traced.graph.plan = InferencePlan(traced.graph, weights, engine, cache)

    def __call__(self, leaves: list[Any]) -> Tree:
        arrays = [leaves[i] for i in self.leaves]
        self._check_values(arrays)
        nodes = p.call(self.traced.graph, *self._weights(), *[as_tensor(x).node for x in arrays])
        share_plan(nodes)
        return self.traced.pack([Tensor(node) for node in nodes])

    def run(self, leaves: list[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs, flat, without nodes between: for calls that take microseconds."""
        arrays = [leaves[i] for i in self.leaves]
        self._check_values(arrays)
        outputs = self.plan.run(self._weights(), [self._put(x) for x in arrays])
        return [
            np.array(unpack_array(self._get(value), node.dtype))
            for value, node in zip(outputs, self.traced.outputs, strict=True)
        ]

    def _weights(self) -> list[Node]:
        return [variable._node for variable in self.variables] + self.captured


class CachedCall(NamedTuple):
    """Result of tracing a model, and the count of changes to layers at that time.

    values: for shapes that depend on values of integers, the versions for those that were met.
    """

    call: ModelCall | None
    changes: int
    values: dict[bytes | None, ModelCall | None] | None = None


def call_as_one_node(model: Steps, x: Tree) -> Tree:
    """Compute `model(x)` as one node. Returns None if each layer has to be called.

    That is so inside of traces and of other layers, under hooks on layer calls and tapes that need all
    intermediate values, for models that are not built, that hold layers or functions of the user's (which may
    print, count or draw random numbers), that assign variables, add losses or pass masks on.
    """
    leaves: list[Any] | None = [x] if type(x) is np.ndarray or type(x) is Tensor else _arrays(x)
    if leaves is None:
        return None
    call = _cached_call(model, x, leaves)
    return None if call is None else call(leaves)


def run_as_one_node(model: Steps, arrays: list[np.ndarray]) -> list[np.ndarray] | None:
    """Compute the outputs, flat, of a model of these inputs. Returns None if each layer has to be called."""
    x = arrays[0] if len(arrays) == 1 else arrays
    call = None if current_engine().mesh is not None else _cached_call(model, x, arrays)
    return None if call is None else call.run(arrays)


def _cached_call(model: Steps, x: Tree, leaves: list[Any]) -> ModelCall | None:
    if any(map(holds_strings, leaves)):
        return None
    if current_level() or current_variable_tracer() is not None or current_context() is not None:
        return None
    if current_call_hook() is not None or retains_graph() or not model.built:
        return None
    calls = training_state(model).calls
    structure = tuple(x) if type(x) is dict else type(x)
    key = (structure, *[(leaf.shape, leaf.dtype) for leaf in leaves], current_engine())
    cached = calls.get(key)
    if cached is None or cached.changes != Tracked.changes:
        cached = calls[key] = _trace(model, x, leaves)
    return cached.call if cached.values is None else _version_for(model, x, leaves, cached.values)


def _arrays(x: Tree) -> list[Any] | None:
    """Return the arrays of a list, a tuple or a dict, in the order of `tree.flatten`; None for others."""
    if type(x) not in (list, tuple, dict):
        return None
    leaves = tree.flatten(x)
    holds_arrays = len(leaves) == len(x) and all(type(leaf) in (np.ndarray, Tensor) for leaf in leaves)
    return leaves if holds_arrays and leaves else None


def _trace(model: Steps, x: Tree, leaves: list[Any]) -> CachedCall:
    changes = Tracked.changes
    layers = flatten_layers(model)
    if any(getattr(layer, "on_host", False) for layer in layers):
        return CachedCall(None, changes)
    if not all(_is_ours(layer) for layer in layers):
        return CachedCall(None, changes)
    if any(type(leaf) is Tensor and leaf._keras_mask is not None for leaf in leaves):
        return CachedCall(None, changes)
    try:
        return CachedCall(_traced(model, x, leaves, list(range(len(leaves)))), changes)
    except ValueError as error:
        # Branches that other values would take may be impossible for these shapes.
        if any(map(_may_decide, leaves)):
            return CachedCall(None, changes, {})
        if isinstance(error, ValueNeededError):
            return CachedCall(None, changes)
        raise


def _traced(model: Steps, x: Tree, leaves: list[Any], inputs: list[int]) -> ModelCall | None:
    """Trace the model on arrays like `leaves`, those that are not among `inputs` with their values.

    Returns None if one node cannot represent it.
    """

    def call(*arrays: Tensor) -> Tree:
        values: list[Any] = [None if i in inputs else np.asarray(leaf) for i, leaf in enumerate(leaves)]
        for i, array in zip(inputs, arrays, strict=True):
            values[i] = array
        return Layer.__call__(model, tree.pack_sequence_as(x, values))

    with noted_indices(are_checked=True) as notes:
        traced = trace_for(current_engine(), call, [leaves[i] for i in inputs])
    assert notes is not None
    results = tree.flatten(traced.result)
    if traced.updated or any(layer._losses for layer in flatten_layers(model)):
        return None
    if not all(type(result) is Tensor and result._keras_mask is None for result in results):
        return None
    return ModelCall(traced, notes, inputs, training_state(model).weight_cache)


def _may_decide(leaf: Any) -> bool:
    return np.dtype(leaf.dtype).kind in "iub" and math.prod(leaf.shape) <= VALUES


def _version_for(
    model: Steps, x: Tree, leaves: list[Any], versions: dict[bytes | None, ModelCall | None]
) -> ModelCall | None:
    """Return the version for the values of the integers, on which shapes depend."""
    deciding = [np.asarray(leaf) for leaf in leaves if _may_decide(leaf)]
    key = b"".join(array.tobytes() for array in deciding)
    if key not in versions:
        if len(versions) == VERSIONS:
            warn_user(
                f"{model.describe()}: shapes depend on values of integers, of which {VERSIONS} are compiled; "
                "for others each operation is computed by itself, which takes longer"
            )
            versions[None] = None  # said
        if len(versions) > VERSIONS:
            return None
        inputs = [i for i, leaf in enumerate(leaves) if not _may_decide(leaf)]
        try:
            versions[key] = _traced(model, x, leaves, inputs)
        except ValueNeededError:
            versions[key] = None
    return versions[key]


def _is_ours(layer: Layer) -> bool:
    """Return whether a layer and the functions among its attributes are Hornbeam's."""
    if not is_own(type(layer)) or type(layer).__name__ == "Lambda":
        return False
    return all(is_own(value) or is_own(type(value)) for value in vars(layer).values() if callable(value))
