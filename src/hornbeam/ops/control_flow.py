"""Control flow as part of a graph: branches, loops, scans."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam._internal.formatting import brief
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_callable
from hornbeam.core.body_scope import BodyScope, check_no_assignment, trace_with_assignments
from hornbeam.core.convert import as_tensor, cast, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import in_symbolic_trace, is_unknown, merged_size, same_shape, same_size
from hornbeam.ir.types import ShapeError, TensorType
from hornbeam.ops._common import node_of, one_axis, static_int

# Variables whose values a construct carries, because its bodies assign them.
Carried: TypeAlias = "tuple[Variable, ...]"


class _Structure:
    """Results of branches or bodies as nodes; their nesting must not differ between calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Any] = []

    def nodes(self, result: Tree) -> list[Node]:
        leaves = tree.flatten(result)
        self.seen.append(result)
        return [node_of(x) for x in leaves if x is not None]

    def pack(self, nodes: Sequence[Node]) -> Tree:
        first = self.seen[0]
        for other in self.seen[1:]:
            try:
                tree.assert_same_structure(first, other)
            except ValueError as error:
                raise ValueError(f"{self.name}: the branches return different structures: {error}") from None
        values = iter(nodes)
        return tree.pack_sequence_as(
            first, [x if x is None else Tensor(next(values)) for x in tree.flatten(first)]
        )


def cond(pred: TensorLike, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Tree:
    """Call one of two functions, depending on a condition.

    Both must return the same structure of tensors of the same shapes; dtypes are promoted to a common one. A
    Python bool chooses at once. Variables may be assigned inside.

    Args:
        pred: Boolean scalar.
        true_fn: Function without arguments, called if `pred` is true.
        false_fn: Function without arguments, called otherwise.

    Returns:
        Result of the called function.

    Raises:
        ShapeError: If `pred` is not a scalar.
        ValueError: If the functions return different structures.

    Example:
        >>> float(hornbeam.ops.cond(hornbeam.ops.array(True), lambda: 1.0, lambda: 2.0))
        1.0
    """
    for branch in (true_fn, false_fn):
        check_callable("a branch", branch, where="cond")
    if isinstance(pred, (bool, np.bool_)):
        return true_fn() if pred else false_fn()
    return _cond(pred, true_fn, false_fn)


@operation
def _cond(pred: TensorLike, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Tree:
    test = cast_node(pred, "bool")
    if math.prod(test.shape) != 1:
        raise ShapeError(
            f"cond needs a scalar predicate, got shape {test.shape}; use where for one per element"
        )

    def build(variables: Carried, assigned: dict[Variable, None]) -> tuple[Tree, Sequence[Node]]:
        structure = _Structure("cond")

        def branch(fn: Callable[[], Any]) -> list[Node]:
            with BodyScope() as scope:
                results = structure.nodes(fn())
            assigned.update(scope.assigned)
            return [*results, *(scope.read(v) for v in variables)]

        outs = p.cond(p.reshape(test, ()), lambda: branch(true_fn), lambda: branch(false_fn))
        count = len(outs) - len(variables)
        return structure.pack(outs[:count]), outs[count:]

    return trace_with_assignments(build)


def switch(index: TensorLike, branches: Sequence[Callable[..., Any]], *operands: Tree) -> Tree:
    """Call one of several functions by index; the index is limited to the valid range.

    What a branch takes from outside, rather than from its operands, is computed whichever branch is chosen.

    Args:
        index: Integer scalar.
        branches: Sequence of functions of the operands.
        *operands: Nested structures of tensors that are passed on.

    Returns:
        Result of the called function.

    Raises:
        ValueError: If `branches` is empty, or the branches return different structures.

    Example:
        >>> float(hornbeam.ops.switch(hornbeam.ops.array(1), [lambda x: x, lambda x: -x], 2.0))
        -2.0
    """
    if not branches:
        raise ValueError("switch needs at least one branch")
    if isinstance(index, (int, np.integer)):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    return _switch(index, list(branches), *operands)


@operation
def _switch(index: TensorLike, branches: Sequence[Callable[..., Any]], *operands: Tree) -> Tree:
    leaves = tree.flatten(list(operands))
    tensors = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (Tensor, np.ndarray))]
    number = p.reshape(cast_node(index, "int32"), ())

    def build(variables: Carried, assigned: dict[Variable, None]) -> tuple[Tree, Sequence[Node]]:
        structure = _Structure("switch")

        def choose(low: int, high: int, number: Node, *nodes: Node) -> Sequence[Node]:
            """Call one of the branches `low` ... `high` - 1 by bisection, so that few tests lead to each."""
            if high - low == 1:
                values = list(leaves)
                for i, node in zip(tensors, nodes, strict=True):
                    values[i] = Tensor(node)
                with BodyScope() as scope:
                    result = branches[low](*tree.pack_sequence_as(list(operands), values))
                    results = structure.nodes(result)
                assigned.update(scope.assigned)
                return [*results, *(scope.read(v) for v in variables)]
            middle = (low + high) // 2
            # Computations on operands belong to the branch; those on outer values would run for every branch.
            return p.cond(
                p.lt(number, full(middle, number.type)),
                functools.partial(choose, low, middle),
                functools.partial(choose, middle, high),
                number,
                *nodes,
            )

        outs = choose(0, len(branches), number, *(node_of(leaves[i]) for i in tensors))
        count = len(outs) - len(variables)
        return structure.pack(outs[:count]), outs[count:]

    return trace_with_assignments(build)


@operation
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Tree, maximum_iterations: int | None = None
) -> Tree:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` holds.

    A list or tuple of loop variables is passed as several arguments, anything else as one. Shapes and dtypes
    must not change. It has no reverse derivative: use `scan` or `fori_loop`.

    Args:
        cond: Function of the loop variables that returns a boolean scalar.
        body: Function of the loop variables that returns their new values.
        loop_vars: One tensor, or a list, tuple or dict of them, which may be nested.
        maximum_iterations: Integer, the largest number of repetitions, or None.

    Returns:
        Final loop variables.

    Raises:
        ShapeError: If a loop variable changes its shape.

    Example:
        >>> int(hornbeam.ops.while_loop(lambda i: i < 10, lambda i: (i + 3,), (0,))[0])
        12
    """
    check_callable("cond", cond, where="while_loop")
    check_callable("body", body, where="while_loop")
    single = not isinstance(loop_vars, (list, tuple))
    start = (loop_vars,) if single else loop_vars
    init = [node_of(x) for x in tree.flatten(start)]
    counter = full(0, TensorType((), "int32"))

    def unpacked(nodes: Sequence[Node]) -> Tree:
        return tree.pack_sequence_as(start, [Tensor(n) for n in nodes])

    def build(variables: Carried, assigned: dict[Variable, None]) -> tuple[Tree, Sequence[Node]]:
        count = 1 + len(init)

        def test(*nodes: Node) -> Node:
            with BodyScope(zip(variables, nodes[count:], strict=True)) as scope:
                holds = p.reshape(cast_node(cond(*unpacked(nodes[1:count])), "bool"), ())
            check_no_assignment(scope, "the condition of while_loop")
            if maximum_iterations is None:
                return holds
            return p.bit_and(holds, p.lt(nodes[0], full(int(maximum_iterations), nodes[0].type)))

        def step(*nodes: Node) -> list[Node]:
            with BodyScope(zip(variables, nodes[count:], strict=True)) as scope:
                result = body(*unpacked(nodes[1:count]))
                result = (result,) if single and not isinstance(result, (list, tuple)) else result
                values = _loop_values("while_loop", result, nodes[1:count])
            assigned.update(scope.assigned)
            return [nodes[0] + 1, *values, *(scope.read(v) for v in variables)]

        outs = p.while_loop(test, step, counter, *init, *(v.node for v in variables))
        return unpacked(outs[1:count]), outs[count:]

    done = trace_with_assignments(build)
    return done[0] if single else done


def _loop_values(name: str, result: Tree, like: Sequence[Node]) -> list[Node]:
    """Return new values of loop variables in the dtypes of the old ones."""
    leaves = tree.flatten(result)
    if len(leaves) != len(like):
        raise ValueError(f"{name}: the body returns {len(leaves)} values for {len(like)} loop variables")
    nodes = [cast_node(x, old.dtype) for x, old in zip(leaves, like, strict=True)]
    for new, old in zip(nodes, like, strict=True):
        if not same_shape(new.shape, old.shape):
            raise ShapeError(f"{name}: a loop variable changes its shape from {old.shape} to {new.shape}")
    return nodes


@operation
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Carry a state along the slices of axis 0: `carry, y = f(carry, x)` for every x. Differentiable.

    Args:
        f: Function of the state and a slice that returns the new state and an output.
        init: Nested structure of tensors, the first state.
        xs: Nested structure of tensors of one size along axis 0, or None.
        length: Integer, the number of steps if `xs` is None.
        reverse: Go from the last slice to the first; outputs keep the positions of their slices.
        unroll: Accepted, without effect.

    Returns:
        Pair of the last state and the stacked outputs.

    Raises:
        ShapeError: If the sequences have different lengths or the state changes its shape.
        ValueError: If neither `xs` nor `length` is given, or they differ.

    Example:
        >>> carry, ys = hornbeam.ops.scan(lambda c, x: (c + x, c), 0.0, hornbeam.ops.array([1.0, 2.0, 3.0]))
        >>> float(carry), np.asarray(ys).tolist()
        (6.0, [0.0, 1.0, 3.0])
    """
    check_callable("f", f, where="scan")
    return _scan(f, init, xs, length, reverse)


def _scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Tree, xs: Tree, length: int | None, reverse: bool
) -> Any:
    first = [node_of(x) for x in tree.flatten(init)]
    sequences = [] if xs is None else [node_of(x) for x in tree.flatten(xs)]
    lengths = [n.shape[0] for n in sequences if n.rank]
    if len(lengths) != len(sequences) or not all(same_size(n, lengths[0]) for n in lengths):
        raise ShapeError(
            f"scan: the sequences must have one length along axis 0, got {[n.shape for n in sequences]}"
        )
    steps = merged_size(*lengths) if lengths else length
    if steps is None:
        raise ValueError("scan needs xs or length")
    if length is not None and length != steps:
        raise ValueError(f"scan: length={length}, but the sequences have {steps} steps")
    structure: list[Any] = []

    def build(variables: Carried, assigned: dict[Variable, None]) -> tuple[Any, Sequence[Node]]:
        count = len(first)

        def step(nodes: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
            carry = nodes[:count]
            state = tree.pack_sequence_as(init, [Tensor(n) for n in carry])
            item = None if xs is None else tree.pack_sequence_as(xs, [Tensor(n) for n in items])
            with BodyScope(zip(variables, nodes[count:], strict=True)) as scope:
                result = f(state, item)
                if not isinstance(result, (tuple, list)) or len(result) != 2:
                    raise ValueError(f"scan: f must return a pair (carry, output), got {brief(result)}")
                new, y = result
                structure[:] = [y]
                values = _loop_values("scan", new, carry)
                outputs = [node_of(leaf) for leaf in tree.flatten(y) if leaf is not None]
            assigned.update(scope.assigned)
            return [*values, *(scope.read(v) for v in variables)], outputs

        start = [*first, *(v.node for v in variables)]
        carry, ys = p.scan(step, start, sequences, length=static_int(steps, "length"), reverse=bool(reverse))
        return (carry[:count], ys), carry[count:]

    carry, ys = trace_with_assignments(build)
    stacked = iter(ys)
    packed = [leaf if leaf is None else Tensor(next(stacked)) for leaf in tree.flatten(structure[0])]
    return (
        tree.pack_sequence_as(init, [Tensor(n) for n in carry]),
        tree.pack_sequence_as(structure[0], packed),
    )


@operation
def fori_loop(
    lower: TensorLike, upper: TensorLike, body_fun: Callable[[Any, Any], Any], init_val: Tree
) -> Tree:
    """Repeat `val = body_fun(i, val)` for i = lower ... upper - 1.

    Differentiable if the bounds are known numbers.

    Args:
        lower: Integer scalar, the first i.
        upper: Integer scalar, the end, which is excluded.
        body_fun: Function of i and the value that returns the new value.
        init_val: Nested structure of tensors, the first value.

    Returns:
        Final value.

    Example:
        >>> int(hornbeam.ops.fori_loop(0, 4, lambda i, v: v + i, 0))
        6
    """
    if isinstance(lower, (int, np.integer)) and isinstance(upper, (int, np.integer)):
        count = np.arange(lower, upper, dtype=np.int32)
        return _scan(lambda v, i: (body_fun(i, v), None), init_val, as_tensor(count), None, False)[0]
    low, high = cast(lower, "int32"), cast(upper, "int32")

    def step(i: Any, last: Any, value: Any) -> tuple[Any, Any, Any]:
        return i + 1, last, body_fun(i, value)

    return while_loop(lambda i, last, _: i < last, step, (low, high, init_val), None)[2]


@operation
def map(f: Callable[[Any], Any], xs: Tree) -> Tree:
    """Apply a function to every slice along axis 0 in turn, and stack the results.

    Args:
        f: Function of a slice.
        xs: Nested structure of tensors of one size along axis 0.

    Returns:
        Nested structure of stacked results.

    Example:
        >>> np.asarray(hornbeam.ops.map(lambda x: x * 2, hornbeam.ops.array([1, 2]))).tolist()
        [2, 4]
    """
    return _scan(lambda _, x: ((), f(x)), (), xs, None, False)[1]


@operation
def vectorized_map(function: Callable[[Any], Any], elements: Tree) -> Tree:
    """Apply a function to every slice along axis 0, and stack the results.

    The results are those of Keras; the slices are computed in turn inside one loop, not in parallel.

    Args:
        function: Function of a slice.
        elements: Nested structure of tensors of one size along axis 0.

    Returns:
        Nested structure of stacked results.

    Raises:
        TypeError: If `function` is not callable.

    Example:
        >>> np.asarray(hornbeam.ops.vectorized_map(lambda x: x * 2, hornbeam.ops.array([1, 2]))).tolist()
        [2, 4]
    """
    return map(check_callable("function", function, where="vectorized_map"), elements)


@operation
def associative_scan(f: Callable[[Any, Any], Any], elems: Tree, reverse: bool = False, axis: int = 0) -> Tree:
    """Combine cumulatively along an axis: out[i] = f(out[i - 1], elems[i]) for an associative function.

    Computed in about log2(n) steps on whole arrays, each of which combines elements at distance 1, 2, 4, ...

    Args:
        f: Associative function of two structures of slices.
        elems: Nested structure of tensors of one size along `axis`.
        reverse: Combine from the last slice to the first.
        axis: Integer, the axis.

    Returns:
        Nested structure of the shapes of `elems`.

    Raises:
        ShapeError: If the sizes along `axis` differ or are unknown.

    Example:
        >>> x = hornbeam.ops.array([1, 2, 3])
        >>> np.asarray(hornbeam.ops.associative_scan(lambda a, b: a + b, x)).tolist()
        [1, 3, 6]

    Source: Hillis & Steele, "Data Parallel Algorithms", 1986.
    """
    nodes = [node_of(x) for x in tree.flatten(elems)]
    axes = [one_axis(axis, n.rank, "associative_scan") for n in nodes]
    length = nodes[0].shape[axes[0]]
    if any(n.shape[a] != length for n, a in zip(nodes, axes, strict=True)):
        raise ShapeError(
            f"associative_scan: sizes along axis {axis} (by default the first dimension) differ: "
            f"{[n.shape for n in nodes]}"
        )
    if reverse:
        nodes = [p.reverse(n, (a,)) for n, a in zip(nodes, axes, strict=True)]

    def part(n: Node, a: int, low: int, high: int) -> Node:
        start = tuple(low if i == a else 0 for i in range(n.rank))
        return p.slice_(n, start, tuple(high if i == a else size for i, size in enumerate(n.shape)))

    def packed(parts: Sequence[Node]) -> Tree:
        return tree.pack_sequence_as(elems, [Tensor(n) for n in parts])

    if is_unknown(length) and not in_symbolic_trace():
        raise ShapeError(
            f"associative_scan: axis {axis} has an unknown size, which decides the number of steps: fix it"
        )
    distance = 1
    # Of an unknown length one step shows the types.
    while distance < (2 if is_unknown(length) else length):
        before = [part(n, a, 0, length - distance) for n, a in zip(nodes, axes, strict=True)]
        here = [part(n, a, distance, length) for n, a in zip(nodes, axes, strict=True)]
        combined = _loop_values("associative_scan", f(packed(before), packed(here)), here)
        nodes = [
            p.concatenate(part(n, a, 0, distance), new, axis=a)
            for n, a, new in zip(nodes, axes, combined, strict=True)
        ]
        distance *= 2
    if reverse:
        nodes = [p.reverse(n, (a,)) for n, a in zip(nodes, axes, strict=True)]
    return packed(nodes)
