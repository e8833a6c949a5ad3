"""Composites: names for small graphs that engines may replace by one kernel.

A composite is a body made of primitives. An engine that has no kernel for the name evaluates the body, so a
composite costs an engine nothing. `name + "_vjp"` exists by itself: its body is the derivative of the body,
and since equal nodes are one node, what it recomputes is shared with the forward pass wherever both are
inlined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from hornbeam.ir.autodiff import dense_cotangents, gradients, outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference as run_reference
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import (
    PRIMITIVES,
    Cotangents,
    Primitive,
    Sample,
    bind,
    full,
    graph_cost,
    primitive,
    zeros_like,
)
from hornbeam.ir.trace import captures, inline, new_level, trace_body
from hornbeam.ir.types import (
    FLOATS,
    SIGNED,
    UNSIGNED,
    ShapeError,
    TensorType,
    ValueType,
    is_inexact,
    same_types,
)
from hornbeam.primitives import contract, elementwise, index, reduce, shape
from hornbeam.primitives.control import optimization_barrier

__all__ = [
    "call", "checkpoint", "composite", "custom_gradient", "gelu", "keep", "largest_last", "log_softmax",
    "logsumexp", "relu", "resample", "sharding_constraint", "silu", "softmax", "softmax_cross_entropy",
    "sort", "sparse_softmax_cross_entropy", "top_k",
]  # fmt: skip

Body = Callable[..., Node | Sequence[Node]]


def _type(*types: TensorType, body: Graph, **params: Any) -> ValueType:
    if not same_types(body.in_types, types):
        raise ShapeError(f"the body takes {list(map(str, body.in_types))}, got {list(map(str, types))}")
    out = body.out_types
    return out if len(out) > 1 else out[0]  # type: ignore[return-value]


def _reference(*arrays: Any, body: Graph, **params: Any) -> Any:
    out = run_reference(body, arrays)
    return tuple(out) if len(out) > 1 else out[0]


def _cost(types: Sequence[TensorType], out: ValueType, *, body: Graph, **params: Any) -> tuple[int, int]:
    return graph_cost(body)


def _register(name: str, vjp: Callable[..., Cotangents] | None, **rules: Any) -> Primitive:
    return primitive(
        name, type_rule=_type, reference=_reference, vjp=vjp, cost=_cost, composite=True, **rules
    )


def default_vjp(name: str) -> Callable[..., Cotangents]:
    """Build the derivative of a composite as a composite of its own, named `name + "_vjp"`."""

    def vjp(cts: Any, out: Node, *inputs: Node, body: Graph, **params: Any) -> Cotangents:
        cotangents = list(cts) if isinstance(out.type, tuple) else [cts]
        known = tuple(i for i, ct in enumerate(cotangents) if ct is not None)
        wanted = tuple(i for i, x in enumerate(inputs) if is_inexact(x.dtype))
        derivative = _derivative_graph(body, known, wanted, barrier=name == "checkpoint")
        target = PRIMITIVES.get(f"{name}_vjp") or _register(f"{name}_vjp", default_vjp(f"{name}_vjp"))
        node = bind(target, *inputs, *(cotangents[i] for i in known), body=derivative, **params)
        results = dict(zip(wanted, outputs_of(node), strict=True))
        return [results.get(i) for i in range(len(inputs))]

    return vjp


# A model has fewer types than this. Those of others are of no use to it: its batch size is its own.
_CACHED_BODIES = 256


@lru_cache(maxsize=_CACHED_BODIES)
def _derivative_graph(body: Graph, known: tuple[int, ...], wanted: tuple[int, ...], barrier: bool) -> Graph:
    def derivative(*args: Node) -> list[Node]:
        if barrier:
            args = optimization_barrier(*args)
        inputs, cts = args[: len(body.inputs)], args[len(body.inputs) :]
        outputs = inline(body, inputs)
        wrt = [inputs[i] for i in wanted]
        results = gradients([outputs[i] for i in known], cts, wrt)
        return [zeros_like(x) if ct is None else ct for ct, x in zip(results, wrt, strict=True)]

    types = [*body.in_types, *(body.out_types[i] for i in known)]
    return trace_body(derivative, types)[0]  # type: ignore[arg-type]


def composite(
    name: str,
    body: Body,
    *,
    samples: Sequence[Sample],
    vjp: Callable[..., Cotangents] | None = None,
    dtypes: tuple[str, ...] = FLOATS + SIGNED + UNSIGNED,
) -> Callable[..., Node]:
    """Register `body(*nodes, **params)` under `name`; returns the function that applies it.

    `vjp` replaces the derivative of the body where a better one is known.
    """

    @lru_cache(maxsize=_CACHED_BODIES)
    def traced(types: tuple[TensorType, ...], params: tuple[tuple[str, Any], ...]) -> Graph:
        def outputs(*nodes: Node) -> Sequence[Node]:
            result = body(*nodes, **dict(params))
            return (result,) if isinstance(result, Node) else tuple(result)

        graph, captured = trace_body(outputs, types)
        if captured:
            raise ValueError(f"the body of {name} uses values from outside: {captured}")
        return graph

    def apply(*nodes: Node, **params: Any) -> Node:
        types = tuple(node.type for node in nodes)
        return bind(target, *nodes, body=traced(types, tuple(sorted(params.items()))), **params)

    target = _register(name, vjp or default_vjp(name), dtypes=dtypes, samples=samples)
    apply.__name__ = name
    return apply


# -- checkpoint ----------------------------------------------------------------------------------------------

_CHECKPOINT = _register("checkpoint", default_vjp("checkpoint"))


def checkpoint(fn: Callable[..., Sequence[Node]], *inputs: Node) -> tuple[Node, ...]:
    """Compute `fn(*inputs)`; its derivative recomputes inner values instead of keeping them."""
    graph, captured = trace_body(fn, [x.type for x in inputs])  # type: ignore[misc]
    return outputs_of(bind(_CHECKPOINT, *inputs, *captured, body=graph))


# -- a graph as one node -------------------------------------------------------------------------------------

_CALL = _register("call", default_vjp("call"))


def call(body: Graph, *inputs: Node) -> tuple[Node, ...]:
    """Apply `body` to `inputs` as one node, for code that applies a graph repeatedly."""
    return outputs_of(bind(_CALL, *inputs, body=body))


# -- custom gradients ---------------------------------------------------------------------------


def _custom_vjp(cts: Any, out: Node, *inputs: Node, body: Graph, derivative: Graph) -> Cotangents:
    cotangents = list(cts) if isinstance(out.type, tuple) else [cts]
    dense = dense_cotangents(cotangents, outputs_of(out))
    results = inline(derivative, (*inputs, *dense))
    known = [ct if is_inexact(ct.dtype) else None for ct in results]
    return [*known, *(None for _ in inputs[len(results) :])]


_CUSTOM_GRADIENT = _register("custom_gradient", _custom_vjp)


def custom_gradient(
    fn: Callable[..., tuple[Sequence[Node], Callable[..., Sequence[Node]]]], *inputs: Node
) -> tuple[Node, ...]:
    """Compute the outputs of `fn(*inputs) = (outputs, rule)`, with the derivative `rule(*cotangents)`.

    Values that `fn` captures are treated as constants.
    """
    with new_level() as level:
        args = [placeholder(x.type, level) for x in inputs]  # type: ignore[arg-type]
        outputs, rule = fn(*args)
        cts = [placeholder(x.type, level) for x in outputs]  # type: ignore[arg-type]
        derivatives = tuple(rule(*cts))
        if not same_types([x.type for x in derivatives], [x.type for x in inputs]):
            raise ShapeError(
                f"a custom gradient must have the types of the arguments {[str(x.type) for x in inputs]}, "
                f"it has {[str(x.type) for x in derivatives]}"
            )
        captured = captures((*outputs, *derivatives), (*args, *cts), level)
    body, derivative = Graph((*args, *captured), outputs), Graph((*args, *captured, *cts), derivatives)
    return outputs_of(bind(_CUSTOM_GRADIENT, *inputs, *captured, body=body, derivative=derivative))


# -- helpers for bodies --------------------------------------------------------------------------------------


def keep(x: Node, like: Node, axes: tuple[int, ...]) -> Node:
    """Broadcast a reduction over `axes` of `like` back to the shape of `like`."""
    dims = tuple(i for i in range(like.rank) if i not in axes)
    return shape.broadcast(x, like.shape, dims)


def _last(x: Node) -> tuple[int, ...]:
    return (x.rank - 1,)


def largest_last(x: Node) -> Node:
    """Return the row max over the last axis, constant and finite, by which exponentials are shifted."""
    from hornbeam.primitives.control import stop_gradient

    peak = reduce.reduce_max(x, _last(x))
    finite = elementwise.is_finite(peak)
    return stop_gradient(elementwise.select(finite, peak, zeros_like(peak)))


# -- layouts on a mesh of devices ----------------------------------------------------------------------------


def _sharding_constraint_vjp(
    ct: Node, out: Node, x: Node, *, axes: tuple[str | None, ...], **_: Any
) -> Cotangents:
    return [sharding_constraint(ct, axes=axes)]


# The identity, with a hint: shard x along the named mesh axes (see `engines/mesh.py`) on engines that have
# them.
sharding_constraint = composite(
    "sharding_constraint",
    lambda x, *, axes: x,
    samples=(Sample(((4, 5),), {"axes": (None, None)}),),
    vjp=_sharding_constraint_vjp,
)


# -- activations ---------------------------------------------------------------------------------------------


def _relu_vjp(ct: Node, out: Node, x: Node, **_: Any) -> Cotangents:
    # In terms of the output, so that the pre-activation is not kept. The derivative at 0 is 0.
    return (elementwise.select(elementwise.gt(out, zeros_like(out)), ct, zeros_like(ct)),)


relu = composite(
    "relu",
    lambda x: elementwise.maximum(x, zeros_like(x)),
    vjp=_relu_vjp,
    samples=(Sample(((4, 5),), domain=(0.1, 2.0)), Sample(((7,),), domain=(-2.0, -0.1)), Sample(((),))),
)


def _gelu_body(x: Node, *, approximate: bool) -> Node:
    if approximate:
        inner = (x + x * x * x * 0.044715) * 0.7978845608028654
        return x * 0.5 * (elementwise.tanh(inner) + 1.0)
    return x * 0.5 * (elementwise.erf(x * 0.7071067811865476) + 1.0)


gelu = composite(
    "gelu",
    _gelu_body,
    dtypes=FLOATS,
    samples=(Sample(((4, 5),), {"approximate": True}), Sample(((6,),), {"approximate": False})),
)
silu = composite(
    "silu",
    lambda x: x * elementwise.logistic(x),
    dtypes=FLOATS,
    samples=(Sample(((4, 5),), domain=(-8.0, 8.0)), Sample(((),))),
)

# -- softmax and cross-entropy -------------------------------------------------------------------------------


def _logsumexp_body(x: Node) -> Node:
    peak = largest_last(x)
    total = reduce.reduce_sum(elementwise.exp(x - keep(peak, x, _last(x))), _last(x))
    return elementwise.log(total) + peak


def _softmax_body(x: Node) -> Node:
    e = elementwise.exp(x - keep(largest_last(x), x, _last(x)))
    return e / keep(reduce.reduce_sum(e, _last(x)), x, _last(x))


def _log_softmax_body(x: Node) -> Node:
    shifted = x - keep(largest_last(x), x, _last(x))
    total = reduce.reduce_sum(elementwise.exp(shifted), _last(x))
    return shifted - keep(elementwise.log(total), x, _last(x))


def _cross_entropy_body(logits: Node, targets: Node) -> Node:
    return -reduce.reduce_sum(targets * _log_softmax_body(logits), _last(logits))


def _sparse_cross_entropy_body(logits: Node, labels: Node) -> Node:
    axis = logits.rank - 1
    classes = shape.iota(labels.dtype, logits.shape, axis)
    chosen = elementwise.eq(classes, keep(labels, logits, (axis,)))
    logs = _log_softmax_body(logits)
    return -reduce.reduce_sum(elementwise.select(chosen, logs, zeros_like(logs)), (axis,))


_rows = (Sample(((4, 5),)), Sample(((2, 3, 1),)), Sample(((7,),)))
logsumexp = composite("logsumexp", _logsumexp_body, dtypes=FLOATS, samples=_rows)
softmax = composite("softmax", _softmax_body, dtypes=FLOATS, samples=_rows)
log_softmax = composite("log_softmax", _log_softmax_body, dtypes=FLOATS, samples=_rows)
softmax_cross_entropy = composite(
    "softmax_cross_entropy",
    _cross_entropy_body,
    dtypes=FLOATS,
    samples=(Sample(((4, 5), (4, 5)), domain=(0.1, 1.0)), Sample(((2, 3, 4), (2, 3, 4)), domain=(0.1, 1.0))),
)
sparse_softmax_cross_entropy = composite(
    "sparse_softmax_cross_entropy",
    _sparse_cross_entropy_body,
    samples=(
        Sample(((4, 5), (4,)), dtypes=(None, "int32"), domain=(0.0, 4.0)),
        Sample(((2, 3, 4), (2, 3)), dtypes=(None, "int32"), domain=(0.0, 3.0)),
    ),
    dtypes=FLOATS + SIGNED + UNSIGNED,
)

# -- resampling ----------------------------------------------------------------------------------------------


def _resample_body(x: Node, weights: Node, *, axis: int) -> Node:
    result = contract.dot_general(x, weights, contract=((axis,), (1,)))
    return shape.transpose(result, (*range(axis), x.rank - 1, *range(axis, x.rank - 1)))


def _resample_vjp(ct: Node, out: Node, x: Node, weights: Node, *, axis: int, **_: Any) -> Cotangents:
    others = tuple(i for i in range(x.rank) if i != axis)
    by_weights = contract.dot_general(ct, x, contract=(others, others))
    return resample(ct, shape.transpose(weights, (1, 0)), axis=axis), by_weights


# Weighted sums along an axis: weights (out, n), of which few are not 0.
resample = composite(
    "resample",
    _resample_body,
    vjp=_resample_vjp,
    dtypes=FLOATS,
    samples=(Sample(((2, 5, 3), (4, 5)), {"axis": 1}), Sample(((3, 4), (6, 4)), {"axis": 1})),
)


# -- sorting -------------------------------------------------------------------------------------------------


def _take_along_last(x: Node, order: Node) -> Node:
    """x[..., order[..., j]] with all leading axes matched."""
    return index.gather(x, shape.reshape(order, (*order.shape, 1)), batch_dims=x.rank - 1)


def _sort_body(x: Node) -> Node:
    return _take_along_last(x, index.argsort(x, x.rank - 1))


def _top_k_body(x: Node, *, k: int) -> list[Node]:
    axis = x.rank - 1
    # Stable descending order: sort the reversed axis ascending, then reverse, so that equal values keep their
    # order.
    order = shape.reverse(index.argsort(shape.reverse(x, (axis,)), axis), (axis,))
    last = full(x.shape[-1] - 1, order.type)
    start, stop = (0,) * x.rank, (*x.shape[:-1], k)
    chosen = shape.slice_(last - order, start, stop, (1,) * x.rank)
    return [_take_along_last(x, chosen), chosen]


def _top_k_vjp(cts: Any, out: Node, x: Node, **_: Any) -> Cotangents:
    # By the indices of the result, so that an engine with a kernel need not sort.
    chosen = outputs_of(out)[1]
    at = shape.reshape(chosen, (*chosen.shape, 1))
    return (index.scatter(zeros_like(x), at, cts[0], mode="add", batch_dims=x.rank - 1),)


sort = composite("sort", _sort_body, samples=(Sample(((4, 5),)), Sample(((7,),))))
top_k = composite(
    "top_k",
    _top_k_body,
    vjp=_top_k_vjp,
    samples=(Sample(((4, 5),), {"k": 2}), Sample(((7,),), {"k": 7})),
)
