"""A gradient checker: derivatives of any order against central differences along random directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hornbeam.ir.autodiff import gradients
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import zeros_like
from hornbeam.ir.trace import trace_body
from hornbeam.ir.types import TensorType, dtype_name, is_float
from hornbeam.ir.verify import verify

NodeFunction = Callable[..., Sequence[Node]]
Arrays = Sequence[np.ndarray]

STEP = 1e-6
TOLERANCE = 2e-6


def traced(fn: NodeFunction, arrays: Arrays) -> tuple[Graph, list[np.ndarray]]:
    """The verified graph of `fn`, and the constants that it takes as further arguments."""
    graph, captured = trace_body(fn, [TensorType(a.shape, dtype_name(a.dtype)) for a in arrays])
    return verify(graph), reference(verify(Graph((), captured)), [])


def float_outputs(fn: NodeFunction) -> NodeFunction:
    return lambda *xs: [node for node in fn(*xs) if is_float(node.dtype)]


def pullback(fn: NodeFunction, count: int, wrt: Sequence[int]) -> NodeFunction:
    """(x, weights) -> gradient of sum(weights * fn(x)) by the operands `wrt`; `count` operands are x."""

    def gradient(*args: Node) -> list[Node]:
        xs, weights = args[:count], args[count:]
        targets = [xs[i] for i in wrt]
        result = gradients(fn(*xs), weights, targets)
        return [zeros_like(x) if ct is None else ct for ct, x in zip(result, targets, strict=True)]

    return gradient


def moved(arrays: Arrays, direction: dict[int, np.ndarray], step: float) -> list[np.ndarray]:
    return [a + step * direction[i] if i in direction else a for i, a in enumerate(arrays)]


def weighted_sum(outputs: Arrays, weights: Arrays) -> float:
    return sum(float(np.sum(w * out)) for w, out in zip(weights, outputs, strict=True))


def check_gradients(fn: NodeFunction, arrays: Arrays, order: int = 2, seed: int = 0) -> None:
    """Raise AssertionError unless the derivatives of `fn` up to `order` agree with central differences.

    `fn` maps nodes to nodes. Floating-point operands are differentiated; all must be float64.
    """
    rng = np.random.default_rng(seed)
    wrt = [i for i, a in enumerate(arrays) if is_float(dtype_name(a.dtype))]
    fn = float_outputs(fn)
    if not wrt:
        return
    for level in range(1, order + 1):
        forward, constants = traced(fn, arrays)
        weights = [rng.normal(size=node.shape) for node in forward.outputs]
        fn = pullback(fn, len(arrays), wrt)
        backward, more = traced(fn, [*arrays, *weights])
        exact = reference(backward, [*arrays, *weights, *more])
        scale = 1.0 + max((float(np.abs(a).max()) for a in (*exact, *weights) if a.size), default=0.0)
        for _ in range(2):
            direction = {i: rng.normal(size=arrays[i].shape) for i in wrt}
            up, down = (
                reference(forward, [*moved(arrays, direction, step), *constants]) for step in (STEP, -STEP)
            )
            numeric = (weighted_sum(up, weights) - weighted_sum(down, weights)) / (2 * STEP)
            analytic = weighted_sum(exact, list(direction.values()))
            message = f"derivative of order {level}: rule gives {analytic}, central difference {numeric}"
            assert abs(numeric - analytic) <= TOLERANCE * scale, message
        arrays = [*arrays, *weights]
