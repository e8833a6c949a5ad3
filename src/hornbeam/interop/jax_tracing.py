"""Transformations of JAX through our operations: `jax.jit`, `jax.grad`, `jax.vmap` of Keras code.

The JAX engine's executables are functions of JAX, so a value that JAX traces can be a leaf of our graph. A
public call with such values takes them as tensors, computes its results at once, and returns them as values
of JAX. Calls inside of it see tensors alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from hornbeam import tree
from hornbeam.core import lazy
from hornbeam.core.dispatch import HostTracing, has_host_traced, host_tracing, set_host_tracing
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.engines import current_engine, get_engine
from hornbeam.ir.node import Node, leaf
from hornbeam.ir.types import HornbeamTypeError, TensorType, dtype_name
from hornbeam.layers.layer import Layer
from hornbeam.losses.loss import Loss
from hornbeam.metrics.stateless import StatelessMethods
from hornbeam.models import Model
from hornbeam.optimizers import Optimizer

# Methods that take values of the user, beside the operations.
ENTRY_POINTS: tuple[tuple[type, str], ...] = (
    (Layer, "__call__"),
    (Layer, "stateless_call"),
    (Loss, "__call__"),
    (StatelessMethods, "stateless_update_state"),
    (StatelessMethods, "stateless_result"),
    (Model, "compute_loss"),
    (Model, "compute_metrics"),
    (Model, "stateless_compute_loss"),
    (Optimizer, "stateless_apply"),
)


def register() -> None:
    """Let JAX's transformations trace operations, once."""
    if host_tracing().types:
        return
    set_host_tracing(HostTracing((jax.core.Tracer,), (jax.Array,), to_tensor, call, value, jax.jit))
    get_engine("jax").allow_host_tracing()
    for kind in (Tensor, Variable):
        jax.tree_util.register_pytree_node(kind, lambda x: ((value(x),), None), lambda _, parts: parts[0])
    for owner, name in ENTRY_POINTS:
        setattr(owner, name, _entry_point(getattr(owner, name)))


def to_tensor(x: Any) -> Tensor:
    """Return a Tensor of a value that JAX traces.

    Raises:
        HornbeamTypeError: If the current engine is not JAX's.
    """
    engine = current_engine()
    if engine.library != "jax":
        raise HornbeamTypeError(
            f"JAX is tracing a value, and sees nothing of what the engine {engine.name!r} computes: call "
            "hornbeam.config.set_engine('jax') first"
        )
    return Tensor(leaf((engine, x), TensorType(tuple(x.shape), dtype_name(x.dtype))))


def value(x: Tensor) -> Any:
    """Return a Tensor as a value of JAX."""
    return x.__jax_array__()


def call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function with tensors in place of values that JAX traces; its results are values of JAX."""
    result = fn(*_tensors(args), **_tensors(kwargs))
    nodes = [x.node for x in tree.flatten(result) if isinstance(x, Tensor)]
    lazy.evaluate(_untraced(nodes))
    lazy.evaluate(nodes)
    return tree.map_structure(lambda x: value(x) if isinstance(x, Tensor) else x, result)


def _untraced(nodes: Sequence[Node]) -> list[Node]:
    """Return the lazy nodes below `nodes` that depend on no traced value, and are used by one that does.

    Their values outlive the trace, such as first values of weights.
    """
    traced: dict[Node, bool] = {}
    stack = list(nodes)
    while stack:
        node = stack[-1]
        if node.value is not None:
            traced[node] = isinstance(node.value[1], jax.core.Tracer)
        missing = [] if node in traced else [operand for operand in node.inputs if operand not in traced]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if node not in traced:
            traced[node] = any(traced[operand] for operand in node.inputs)
    users = [node for node, is_traced in traced.items() if is_traced]
    edges = [*nodes, *(operand for user in users if user.value is None for operand in user.inputs)]
    return [node for node in dict.fromkeys(edges) if not traced[node] and node.value is None]


def _tensors(values: Any) -> Any:
    """Replace values that JAX traces in lists, tuples and dicts; other objects stay as they are."""
    if isinstance(values, jax.core.Tracer):
        return to_tensor(values)
    if type(values) in (list, tuple):
        return type(values)(map(_tensors, values))
    if type(values) is dict:
        return {name: _tensors(part) for name, part in values.items()}
    return values


def _entry_point(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def entry(self: Any, *args: Any, **kwargs: Any) -> Any:
        if has_host_traced(args) or has_host_traced(kwargs.values()):
            return call(method, (self, *args), kwargs)
        return method(self, *args, **kwargs)

    return entry
