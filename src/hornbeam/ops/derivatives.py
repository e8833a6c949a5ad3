"""Operations that change how a value is differentiated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hornbeam import primitives as p
from hornbeam import tree
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.types import is_inexact
from hornbeam.ops._common import float_node, node_of


@operation
def stop_gradient(variable: TensorLike) -> Tensor:
    """Return the same value as a constant of differentiation.

    Args:
        variable: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor through which no gradient flows.
    """
    return Tensor(p.stop_gradient(node_of(variable)))


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function its own derivative.

    Args:
        f: Function of tensors that returns `(result, rule)`. `rule(*upstream)` takes the gradients with
            respect to the results and returns those with respect to the arguments, one each; None, and any
            for an argument of integers, means zeros. What `f` takes from elsewhere, such as variables, counts
            as constant.

    Returns:
        Function of the arguments of `f` that returns its result.

    Example:
        >>> @hornbeam.ops.custom_gradient
        ... def halved(x):
        ...     return x * x, lambda upstream: upstream * x
        >>> float(hornbeam.grad(halved)(3.0))
        3.0
    """

    @functools.wraps(f)
    def call(*args: Any) -> Any:
        return _custom_gradient(f, *args)

    return call


@operation
def _custom_gradient(f: Callable[..., Any], *args: Any) -> Any:
    structure: list[Any] = []

    def fn(*inputs: Node) -> tuple[list[Node], Callable[..., list[Node]]]:
        result, rule = f(*(Tensor(n) for n in inputs))
        structure[:] = [result]

        def gradients(*cts: Node) -> list[Node]:
            results = rule(*(Tensor(ct) for ct in cts))
            result_list = results if isinstance(results, (list, tuple)) else [results]
            if len(result_list) != len(inputs):
                raise ValueError(f"custom_gradient: {len(result_list)} gradients for {len(inputs)} arguments")
            return [_gradient(x, n) for x, n in zip(result_list, inputs, strict=True)]

        return [node_of(x) for x in tree.flatten(result)], gradients

    outs = p.custom_gradient(fn, *map(_argument, args))
    return tree.pack_sequence_as(structure[0], [Tensor(n) for n in outs])


def _argument(x: TensorLike) -> Node:
    """Return a node: Python numbers are floats, tensors and arrays keep their dtype."""
    return float_node(x) if isinstance(x, (bool, int, float)) else node_of(x)


def _gradient(x: TensorLike | None, argument: Node) -> Node:
    """Return the gradient for an argument: zeros for None, and for integers, which have none."""
    if x is None or not is_inexact(argument.dtype):
        return p.zeros_like(argument)
    return cast_node(x, argument.dtype)
