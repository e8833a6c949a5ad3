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
from hornbeam.ir.node import Node
from hornbeam.ops._common import float_node, node_of


@operation
def stop_gradient(variable: Any) -> Tensor:
    """The same value, through which no derivative flows."""
    return Tensor(p.stop_gradient(node_of(variable)))


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, which returns its result and a function that says what the derivative is.

    `f(*args)` returns `(result, rule)`; `rule(*upstream)` takes the derivatives of a scalar by the results
    and returns its derivatives by the arguments, one each. Arguments are float tensors; what `f` takes from
    elsewhere (variables, say) counts as constant.

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

        def slopes(*cts: Node) -> list[Node]:
            found = rule(*(Tensor(ct) for ct in cts))
            listed = found if isinstance(found, (list, tuple)) else [found]
            if len(listed) != len(inputs):
                raise ValueError(f"custom_gradient: {len(listed)} derivatives for {len(inputs)} arguments")
            return [cast_node(x, n.dtype) for x, n in zip(listed, inputs, strict=True)]

        return [node_of(x) for x in tree.flatten(result)], slopes

    outs = p.custom_gradient(fn, *(float_node(x) for x in args))
    return tree.pack_sequence_as(structure[0], [Tensor(n) for n in outs])
