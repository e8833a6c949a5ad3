"""Derivatives: gradients of values at hand, grad, value_and_grad, vjp, checkpoint."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam._internal.formatting import brief
from hornbeam.core.convert import as_tensor, is_array
from hornbeam.core.lazy import released_sources
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable, VariableTracer
from hornbeam.errors import DerivativeError
from hornbeam.ir import autodiff
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder, topological
from hornbeam.ir.primitive import ones_like, zeros_like
from hornbeam.ir.trace import current_level, inline, is_constant, new_level
from hornbeam.ir.types import ShapeError, is_inexact


def gradients(loss: Tensor, variables: Sequence[Tensor]) -> list[Tensor]:
    """Compute the gradients of a scalar loss with respect to variables.

    Use it where the loss has just been computed, as in an overridden `train_step`.

    Args:
        loss: Scalar tensor.
        variables: Sequence of variables or tensors.

    Returns:
        List of tensors; zeros where the loss does not depend on a variable.

    Raises:
        ShapeError: If the loss is not a scalar.
        DerivativeError: If the loss, or a value on which it depends, was read (printed, compared) before:
            reading a value in eager code releases its graph.

    Example:
        >>> g = hornbeam.gradients(loss, model.trainable_variables)  # doctest: +SKIP
    """
    node = loss.node
    if node.shape != ():
        raise ShapeError(f"gradients need a scalar loss, got shape {node.shape}: take its mean or sum first")
    if node.primitive is None and node.value is not None:
        raise DerivativeError(
            "the loss has already been read, and reading a value releases its graph: take gradients before "
            "reading it, or use value_and_grad"
        )
    variables = [as_tensor(v) for v in variables]
    nodes = [v.node for v in variables]
    _check_own_nodes(variables, nodes)
    sources = {weakref.ref(n) for n in nodes}
    released = [n for n in topological([node]) if not released_sources(n).isdisjoint(sources)]
    results = autodiff.gradients([node], [ones_like(node)], [*nodes, *released])
    _check_connected(released, results[len(nodes) :])
    return [Tensor(zeros_like(n) if g is None else g) for n, g in zip(nodes, results, strict=False)]


def _check_own_nodes(variables: Sequence[Tensor], nodes: Sequence[Node]) -> None:
    """Raise for a tensor that shares its node with others of equal numbers, whose uses would count too."""
    owners: dict[Node, Tensor] = {}
    for i, (variable, node) in enumerate(zip(variables, nodes, strict=True)):
        if owners.setdefault(node, variable) is not variable or (is_constant(node) and not node.level):
            raise DerivativeError(
                f"tensor {i} of the variables ({node.type}) was made from the same numbers as "
                "another, and both are one value here. Make it a hornbeam.Variable, or pass it to a "
                "function: hornbeam.grad(function)(tensor)"
            )


def _check_connected(released: Sequence[Node], cotangents: Sequence[Node | None]) -> None:
    """Raise if the loss depends on a value whose graph to a variable was released."""
    for node, cotangent in zip(released, cotangents, strict=True):
        if cotangent is not None:
            raise DerivativeError(
                f"the loss depends on the variables through a {node.type} that has been read (printed, "
                "compared, converted, or computed along with such a value), and reading a value releases its "
                "graph: take gradients before reading, or use value_and_grad; ops.stop_gradient states that "
                "no gradient is needed"
            )


def value_and_grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that computes the value of `fn` and its gradient.

    Arguments may be nested structures; the gradient has their structure. Only floating-point leaves are
    differentiated.

    Args:
        fn: Function that returns a scalar.
        argnums: Integer or sequence of integers, positions of the arguments to differentiate.
        has_aux: Set if `fn` returns a pair of a scalar and anything else, which is returned, too.

    Returns:
        Function of the arguments of `fn` that returns (value, gradient), or ((value, aux), gradient).

    Raises:
        TypeError: If `fn` is not a function.

    Example:
        >>> value, gradient = hornbeam.value_and_grad(lambda w: w * w)(3.0)
        >>> float(value), float(gradient)
        (9.0, 6.0)
    """
    if not callable(fn):
        raise TypeError(
            f"grad takes a function that computes the loss, got {brief(fn)}: write grad(loss)(weights), or "
            "gradients(loss_value, variables)"
        )
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise ValueError(
                    f"argnums={argnums!r}, but the function was called with {len(args)} arguments"
                )
        chosen = [args[number] for number in numbers]
        values = [as_tensor(x) for x in tree.flatten(chosen)]
        for value in values:
            if not is_inexact(value.dtype):
                raise TypeError(f"grad needs floating-point arguments, got {value.dtype}")

        def call(inputs: Sequence[Tensor]) -> tuple[Any, Any]:
            full_args = list(args)
            for number, argument in zip(numbers, tree.pack_sequence_as(chosen, list(inputs)), strict=True):
                full_args[number] = argument
            result = fn(*full_args, **kwargs)
            if has_aux:
                return result
            return result, None

        def seed(out: Node) -> Node:
            if out.shape != ():
                raise ShapeError(f"grad needs a function that returns a scalar, got shape {out.shape}")
            return ones_like(out)

        loss, aux, results = _differentiate(call, values, seed)
        packed = tree.pack_sequence_as(chosen, results)
        derivative = packed[0] if isinstance(argnums, int) else tuple(packed)
        return ((loss, aux) if has_aux else loss), derivative

    return wrapped


def grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes the gradient of `fn`.

    Args:
        fn: Function that returns a scalar.
        argnums: Integer or sequence of integers, positions of the arguments to differentiate.
        has_aux: Set if `fn` returns a pair of a scalar and anything else, which is returned, too.

    Returns:
        Function of the arguments of `fn` that returns the gradient, or (gradient, aux).

    Example:
        >>> float(hornbeam.grad(lambda x: x * x)(3.0))
        6.0
    """
    both = value_and_grad(fn, argnums, has_aux)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, derivative = both(*args, **kwargs)
        return (derivative, value[1]) if has_aux else derivative

    return wrapped


def vjp(fn: Callable[..., Any], *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Compute the value of a function and its vector-Jacobian product.

    Args:
        fn: Function of tensors.
        *args: Arguments of `fn`.

    Returns:
        Pair of `fn(*args)` and a function that maps cotangents of the result to those of the arguments.

    Raises:
        TypeError: If `fn` is not a function.
    """
    if not callable(fn):
        raise TypeError(f"vjp takes a function and its arguments, got {brief(fn)}")
    structure = list(args)
    values = [as_tensor(x) for x in tree.flatten(structure)]
    result = fn(*tree.pack_sequence_as(structure, values))

    def pullback(cotangents: Any) -> tuple[Any, ...]:
        cts = iter([as_tensor(ct).node for ct in tree.flatten(cotangents)])

        def call(inputs: Sequence[Tensor]) -> tuple[Any, Any]:
            return fn(*tree.pack_sequence_as(structure, list(inputs))), None

        _, _, results = _differentiate(call, values, lambda out: next(cts))
        return tuple(tree.pack_sequence_as(structure, results))

    return result, pullback


def _differentiate(
    call: Callable[[Sequence[Tensor]], tuple[Any, Any]],
    values: Sequence[Tensor],
    seed: Callable[[Node], Node],
) -> tuple[Any, Any, list[Tensor]]:
    """Trace `call` on placeholders for `values`, differentiate, and inline the graph on the values.

    Variables that the function assigns (batch statistics, random states) are assigned afterwards.
    """
    args = [value.node for value in values]
    with new_level() as level:
        inputs = [placeholder(n.type, level) for n in args]  # type: ignore[arg-type]
        tracer = _PassthroughTracer(level)
        with tracer:
            result, aux = call([Tensor(n) for n in inputs])
            outs = [as_tensor(x).node for x in tree.flatten(result)]
            cotangents = autodiff.gradients(outs, [seed(out) for out in outs], inputs)
        gradients = [zeros_like(n) if g is None else g for n, g in zip(inputs, cotangents, strict=True)]
        aux_leaves = tree.flatten(aux)
        aux_nodes = [x.node for x in aux_leaves if isinstance(x, Tensor)]
        updates = list(tracer.updates.items())
        graph = Graph(inputs, (*outs, *gradients, *aux_nodes, *(node for _, node in updates)))
    rebound = [Tensor(n) for n in inline(graph, args)]
    for (variable, _), value in zip(
        updates, rebound[len(outs) + len(gradients) + len(aux_nodes) :], strict=True
    ):
        variable.assign(value)
    aux_values = iter(rebound[len(outs) + len(gradients) :])
    new_aux = tree.pack_sequence_as(
        aux, [next(aux_values) if isinstance(x, Tensor) else x for x in aux_leaves]
    )
    new_result = tree.pack_sequence_as(result, rebound[: len(outs)])
    return new_result, new_aux, rebound[len(outs) : len(outs) + len(gradients)]


class _PassthroughTracer(VariableTracer):
    """Tracer that reads variables as outer code would, and defers assignments until after differentiation."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.updates: dict[Variable, Node] = {}

    def read(self, variable: Variable) -> Node:
        if variable in self.updates:
            return self.updates[variable]
        return self.read_outside(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        self.updates[variable] = node


def stop_gradient(x: TensorLike) -> Tensor:
    """Return the same value as a constant of differentiation.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor through which no gradient flows.
    """
    return Tensor(p.stop_gradient(as_tensor(x).node))


def checkpoint(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Recompute the intermediate values of a function in its backward pass: less memory for more time.

    Arguments that are neither tensors nor arrays are passed on as they are. Variables that `fn` assigns
    (batch statistics, random states) are assigned once.

    Args:
        fn: Function of tensors.

    Returns:
        Function of the arguments of `fn`.

    Example:
        >>> float(hornbeam.grad(hornbeam.checkpoint(lambda x: x * x))(3.0))
        6.0
    """

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        arguments = [list(args), kwargs]
        leaves = tree.flatten(arguments)
        arrays = [as_tensor(x) for x in leaves if is_array(x)]
        results: list[Any] = []
        updated: list[Variable] = []

        def body(*nodes: Node) -> list[Node]:
            tensors = (Tensor(n) for n in nodes)
            inner = tree.pack_sequence_as(arguments, [next(tensors) if is_array(x) else x for x in leaves])
            tracer = _PassthroughTracer(current_level())
            with tracer:
                results[:] = [fn(*inner[0], **inner[1])]
            updated[:] = tracer.updates
            return [*(as_tensor(x).node for x in tree.flatten(results[0])), *tracer.updates.values()]

        outs = [Tensor(n) for n in p.checkpoint(body, *(x.node for x in arrays))]
        count = len(outs) - len(updated)
        for variable, value in zip(updated, outs[count:], strict=True):
            variable.assign(value)
        return tree.pack_sequence_as(results[0], outs[:count])

    return wrapped


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Recompute the intermediate values of a function in its backward pass: `checkpoint` under Keras's name.

    Args:
        f: Function of tensors.

    Returns:
        Function of the arguments of `f`.
    """
    return checkpoint(f)
