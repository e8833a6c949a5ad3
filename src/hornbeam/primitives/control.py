"""Control flow: primitives with bodies, and the barriers for derivatives and optimizations.

The bodies are graphs whose last inputs are the outer values they captured. `scan` keeps the carry of every
step as an extra output; its derivative is a scan the other way that recomputes each step from it, so that it
is differentiable to any order without a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.errors import BranchError
from hornbeam.ir.autodiff import BARRIER, dense_cotangents, gradients, outputs_of, project
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference as run_reference
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.primitive import Sample, graph_cost, primitive, zeros_like
from hornbeam.ir.trace import captures, inline, new_level, trace_body
from hornbeam.ir.types import ShapeError, TensorType, ValueType, is_inexact, numpy_dtype, same_types

__all__ = ["cond", "optimization_barrier", "project", "scan", "stop_gradient", "while_loop"]


def _check_inputs(name: str, graph: Graph, types: Sequence[ValueType]) -> None:
    if not same_types(graph.in_types, types):
        raise ShapeError(
            f"{name} passes {list(map(str, types))} to a body that takes {list(map(str, graph.in_types))}"
        )


# -- stop_gradient, optimization_barrier ---------------------------------------------------------------------


def stop_gradient(x: Node) -> Node:
    """Return the value, through which no gradient flows."""
    return BARRIER(x)


OPTIMIZATION_BARRIER = primitive(
    "optimization_barrier",
    type_rule=lambda *types: types,
    reference=lambda *values: values,
    vjp=lambda cts, out, *inputs: cts,
    cost=lambda types, out, **_: (0, 0),
    samples=(
        Sample(
            ((2, 3), (4,)),
        ),
    ),
)


def optimization_barrier(*values: Node) -> tuple[Node, ...]:
    """Return the values, which no pass merges with the originals; all are computed before any is used."""
    return outputs_of(OPTIMIZATION_BARRIER(*values))


# -- cond ----------------------------------------------------------------------------------------------------


def _cond_type(pred: TensorType, *types: TensorType, true_graph: Graph, false_graph: Graph) -> ValueType:
    if pred != TensorType((), "bool"):
        raise ShapeError(f"cond needs a bool[] predicate, got {pred}")
    _check_inputs("cond", true_graph, types)
    _check_inputs("cond", false_graph, types)
    if not same_types(true_graph.out_types, false_graph.out_types):
        raise BranchError(
            f"the branches of cond return different types: {list(map(str, true_graph.out_types))} and "
            f"{list(map(str, false_graph.out_types))}"
        )
    return true_graph.out_types  # type: ignore[return-value]


def _cond_reference(pred: Any, *values: Any, true_graph: Graph, false_graph: Graph) -> tuple[Any, ...]:
    return tuple(run_reference(true_graph if pred else false_graph, values))


def _cond_vjp(
    cts: Any, out: Node, pred: Node, *operands: Node, true_graph: Graph, false_graph: Graph
) -> list[Any]:
    wanted = [i for i, x in enumerate(operands) if is_inexact(x.dtype)]
    known = [i for i, ct in enumerate(cts) if ct is not None]

    def branch(graph: Graph) -> Callable[..., Sequence[Node]]:
        def derivative(*args: Node) -> list[Node]:
            inputs, cotangents = args[: len(operands)], args[len(operands) :]
            results = inline(graph, inputs)
            grads = gradients([results[i] for i in known], cotangents, [inputs[i] for i in wanted])
            return dense_cotangents(grads, [inputs[i] for i in wanted])

        return derivative

    grads = cond(pred, branch(true_graph), branch(false_graph), *operands, *(cts[i] for i in known))
    return [None, *_spread(grads, wanted, len(operands))]


def _spread(values: Sequence[Node], wanted: Sequence[int], size: int) -> list[Node | None]:
    spread: list[Node | None] = [None] * size
    for index, value in zip(wanted, values, strict=True):
        spread[index] = value
    return spread


COND = primitive(
    "cond",
    type_rule=_cond_type,
    reference=_cond_reference,
    vjp=_cond_vjp,
    cost=lambda types, out, **p: max(graph_cost(p["true_graph"]), graph_cost(p["false_graph"])),
)


def cond(
    pred: Node,
    true_fn: Callable[..., Sequence[Node]],
    false_fn: Callable[..., Sequence[Node]],
    *operands: Node,
) -> tuple[Node, ...]:
    """Compute `true_fn(*operands)` if the scalar `pred` is true, else `false_fn(*operands)`; only one
    runs."""
    types = [x.type for x in operands]
    with new_level() as level:
        sides = []
        for fn in (true_fn, false_fn):
            inputs = [placeholder(type, level) for type in types]  # type: ignore[arg-type]
            outputs = tuple(fn(*inputs))
            sides.append((inputs, outputs, captures(outputs, inputs, level)))
        shared = tuple(dict.fromkeys((*sides[0][2], *sides[1][2])))
        graphs = [Graph((*inputs, *shared), outputs) for inputs, outputs, _ in sides]
    node = COND(pred, *operands, *shared, true_graph=graphs[0], false_graph=graphs[1])
    return outputs_of(node)


# -- while_loop ----------------------------------------------------------------------------------------------


def _while_type(*types: TensorType, cond_graph: Graph, body_graph: Graph) -> ValueType:
    _check_inputs("while_loop", cond_graph, types)
    _check_inputs("while_loop", body_graph, types)
    if cond_graph.out_types != (TensorType((), "bool"),):
        raise ShapeError(
            f"the condition of while_loop must return bool[], got {list(map(str, cond_graph.out_types))}"
        )
    carry = body_graph.out_types
    if not same_types(carry, types[: len(carry)]):
        raise ShapeError(
            f"the body of while_loop must keep the types of its carry {list(map(str, types[: len(carry)]))}, "
            f"it returns {list(map(str, carry))}"
        )
    return carry  # type: ignore[return-value]


def _while_reference(*values: Any, cond_graph: Graph, body_graph: Graph) -> tuple[Any, ...]:
    count = len(body_graph.outputs)
    carry, fixed = list(values[:count]), values[count:]
    while run_reference(cond_graph, (*carry, *fixed))[0]:
        carry = run_reference(body_graph, (*carry, *fixed))
    return tuple(carry)


WHILE = primitive(
    "while_loop",
    type_rule=_while_type,
    reference=_while_reference,
    vjp=None,
    cost=lambda types, out, **p: graph_cost(p["body_graph"]),
)


def while_loop(
    cond_fn: Callable[..., Node], body_fn: Callable[..., Sequence[Node]], *init: Node
) -> tuple[Node, ...]:
    """Repeat `carry = body_fn(*carry)` while `cond_fn(*carry)` is true. It has no derivative: use `scan`."""
    with new_level() as level:
        first = [placeholder(x.type, level) for x in init]  # type: ignore[arg-type]
        test = (cond_fn(*first),)
        second = [placeholder(x.type, level) for x in init]  # type: ignore[arg-type]
        outputs = tuple(body_fn(*second))
        shared = tuple(dict.fromkeys((*captures(test, first, level), *captures(outputs, second, level))))
        cond_graph, body_graph = Graph((*first, *shared), test), Graph((*second, *shared), outputs)
    return outputs_of(WHILE(*init, *shared, cond_graph=cond_graph, body_graph=body_graph))


# -- scan ----------------------------------------------------------------------------------------------------


def _scan_type(
    *types: TensorType, body: Graph, length: int, carries: int, sequences: int, reverse: bool
) -> ValueType:
    for sequence in types[carries : carries + sequences]:
        if not sequence.shape or sequence.shape[0] != length:
            raise ShapeError(f"scan over {length} steps got a sequence of type {sequence}")
    slices = [TensorType(t.shape[1:], t.dtype) for t in types[carries : carries + sequences]]
    _check_inputs("scan", body, [*types[:carries], *slices, *types[carries + sequences :]])
    if not same_types(body.out_types[:carries], types[:carries]):
        raise ShapeError(
            f"the body of scan must keep the types of its carry {list(map(str, types[:carries]))}, "
            f"it returns {list(map(str, body.out_types[:carries]))}"
        )
    stacked = [*body.out_types[carries:], *types[:carries]]
    return (*types[:carries], *(TensorType((length, *t.shape), t.dtype) for t in stacked))  # type: ignore[union-attr]


def _scan_reference(
    *values: Any, body: Graph, length: int, carries: int, sequences: int, reverse: bool
) -> tuple[Any, ...]:
    carry, xs, fixed = values[:carries], values[carries : carries + sequences], values[carries + sequences :]
    kept: list[Any] = [*body.out_types[carries:], *body.in_types[:carries]]
    stacked = [np.empty((length, *t.shape), numpy_dtype(t.dtype)) for t in kept]
    for step in reversed(range(length)) if reverse else range(length):
        results = run_reference(body, (*carry, *(x[step] for x in xs), *fixed))
        for target, value in zip(stacked, (*results[carries:], *carry), strict=True):
            target[step] = value
        carry = tuple(results[:carries])
    return (*carry, *stacked)


def _scan_vjp(
    cts: Any, out: Node, *inputs: Node, body: Graph, length: int, carries: int, sequences: int, reverse: bool
) -> list[Node | None]:
    outs = outputs_of(out)
    carry, xs, fixed = inputs[:carries], inputs[carries : carries + sequences], inputs[carries + sequences :]
    n_ys = len(body.outputs) - carries
    saved = outs[carries + n_ys :]
    float_carry = [i for i, x in enumerate(carry) if is_inexact(x.dtype)]
    float_ys = [i for i in range(n_ys) if cts[carries + i] is not None]
    float_fixed = [i for i, x in enumerate(fixed) if is_inexact(x.dtype)]
    float_xs = [i for i, x in enumerate(xs) if is_inexact(x.dtype)]
    # The saved carries have cotangents only in a second derivative.
    saved_cts = [i for i in float_carry if cts[carries + n_ys + i] is not None]

    d_carry = dense_cotangents([cts[i] for i in float_carry], [carry[i] for i in float_carry])
    d_fixed = [zeros_like(fixed[i]) for i in float_fixed]
    ys_cts = [cts[carries + i] for i in float_ys]
    carry_cts = [cts[carries + n_ys + i] for i in saved_cts]

    def step(state: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        d_out, d_sum = state[: len(float_carry)], state[len(float_carry) :]
        carry_in, x = items[:carries], items[carries : carries + sequences]
        d_ys = items[carries + sequences : carries + sequences + len(float_ys)]
        d_saved = items[carries + sequences + len(float_ys) :]
        args = (*carry_in, *x, *fixed_in)
        results = inline(body, args)
        seeds = [results[i] for i in float_carry] + [results[carries + i] for i in float_ys]
        wanted = (
            [carry_in[i] for i in float_carry] + [x[i] for i in float_xs] + [fixed_in[i] for i in float_fixed]
        )
        grads = dense_cotangents(gradients(seeds, [*d_out, *d_ys], wanted), wanted)
        d_in = grads[: len(float_carry)]
        for ct, index in zip(d_saved, saved_cts, strict=True):
            position = float_carry.index(index)
            d_in[position] = d_in[position] + ct
        d_x = grads[len(float_carry) : len(float_carry) + len(float_xs)]
        d_f = [total + d for total, d in zip(d_sum, grads[len(float_carry) + len(float_xs) :], strict=True)]
        return [*d_in, *d_f], d_x

    # Captured values become inputs of the body, so that their derivative is that of one step.
    fixed_in = tuple(optimization_barrier(*fixed)) if fixed else ()
    state, d_xs = scan(
        step, [*d_carry, *d_fixed], [*saved, *xs, *ys_cts, *carry_cts], length=length, reverse=not reverse
    )
    found_carry = _spread(state[: len(float_carry)], float_carry, carries)
    found_fixed = _spread(state[len(float_carry) :], float_fixed, len(fixed))
    return [*found_carry, *_spread(d_xs, float_xs, sequences), *found_fixed]


SCAN = primitive(
    "scan",
    type_rule=_scan_type,
    reference=_scan_reference,
    vjp=_scan_vjp,
    cost=lambda types, out, **p: graph_cost(p["body"], p["length"]),
)


def scan(
    fn: Callable[[Sequence[Node], Sequence[Node]], tuple[Sequence[Node], Sequence[Node]]],
    init: Sequence[Node],
    xs: Sequence[Node],
    *,
    length: int,
    reverse: bool = False,
) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """`carry, y = fn(carry, x)` for every slice of `xs` along axis 0; the ys are stacked along axis 0.

    With `reverse`, from the last slice to the first; ys keep their places.
    """
    slices = [TensorType(x.shape[1:], x.dtype) for x in xs]

    def body(*args: Node) -> list[Node]:
        carry, ys = fn(args[: len(init)], args[len(init) :])
        return [*carry, *ys]

    graph, captured = trace_body(body, [*(x.type for x in init), *slices])  # type: ignore[list-item]
    node = SCAN(
        *init, *xs, *captured,
        body=graph, length=length, carries=len(init), sequences=len(xs), reverse=reverse,
    )  # fmt: skip
    outs = outputs_of(node)
    n_ys = len(graph.outputs) - len(init)
    return outs[: len(init)], outs[len(init) : len(init) + n_ys]
