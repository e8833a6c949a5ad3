"""Rules that find TensorFlow's operators in a graph: for each primitive the patterns to try, in order.

Nothing here needs TensorFlow: what a rule finds is named after TensorFlow's operators, and
`tensorflow_operators.py` has a function for each name.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hornbeam import primitives as p
from hornbeam.export.patterns import (
    MatchContext,
    Operator,
    Pattern,
    activations,
    arrays,
    products,
    sequences,
    windows,
)
from hornbeam.export.patterns.arrays import as_it_is, for_float32
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import evaluated, is_unknown, symbols_of

Amounts = tuple[tuple[Any, Any], ...]

# -- padding -------------------------------------------------------------------------------------------------


def padding_name(
    sizes: Sequence[Any], reaches: Sequence[int], strides: Sequence[int], amounts: Amounts
) -> Any:
    """TensorFlow's name for padding, "VALID" or "SAME", or the amounts if it has none."""
    if all(not is_unknown(n) and n == 0 for pair in amounts for n in pair):
        return "VALID"
    axes = zip(sizes, reaches, strides, amounts, strict=True)
    return "SAME" if all(_is_same(*axis) for axis in axes) else amounts


def _is_same(size: Any, reach: int, stride: int, pair: tuple[Any, Any]) -> bool:
    if not any(map(is_unknown, (size, *pair))):
        return pair == _same(size, reach, stride)
    names = set().union(*(symbols_of(n) for n in (size, *pair) if is_unknown(n)))
    if len(names) != 1 or not is_unknown(size):
        return stride == 1 and not any(map(is_unknown, pair)) and pair == _same(reach, reach, 1)
    # The amounts are the same for all sizes if they are for some periods of the strides.
    trials = ({next(iter(names)): n} for n in range(1, 2 * reach + 4 * stride))
    return all(evaluated(pair, trial) == _same(evaluated(size, trial), reach, stride) for trial in trials)


def _same(size: int, reach: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


# -- convolutions and pools ----------------------------------------------------------------------------------


def convolution(context: MatchContext, node: Node) -> Operator:
    """A convolution. Padding before it is part of it if TensorFlow has a name for both together."""
    x, w = node.inputs
    params = node.params
    reaches = [(k - 1) * d + 1 for k, d in zip(w.shape[:-2], params["dilation"], strict=True)]

    def named(x: Node, amounts: Amounts) -> Any:
        return padding_name(x.shape[1:-1], reaches, params["strides"], amounts)

    padding = named(x, params["padding"])
    inner, pads = products.padded_by(context, x, 0)
    if inner is not x:
        sides = zip(params["padding"], pads, strict=True)
        both = named(inner, tuple((a + c, b + d) for (a, b), (c, d) in sides))
        x, padding = (inner, both) if isinstance(both, str) else (x, padding)
    options = {"strides": params["strides"], "padding": padding}
    if _is_depthwise(x, node):
        return Operator("depthwise_conv", (x, _depthwise_kernel(context, x, w)), options)
    return Operator("conv", (x, w), {**options, "dilation": params["dilation"]})


def _is_depthwise(x: Node, node: Node) -> bool:
    params = node.params
    plain = set(params["dilation"]) == {1} and len(set(params["strides"])) == 1
    return plain and params["groups"] == x.shape[-1] > 1 and len(params["strides"]) < 3


def _depthwise_kernel(context: MatchContext, x: Node, w: Node) -> Node:
    """(..., 1, channels * multiplier) as the (..., channels, multiplier) that Keras and TensorFlow have."""
    channels = x.shape[-1]
    shape = (*w.shape[:-2], channels, w.shape[-1] // channels)
    if w.name == "reshape" and w.inputs[0].shape == shape:
        return w.inputs[0]
    kernel = p.reshape(w, shape)
    return context.learn(kernel) if w in context.known else kernel


def transposed_convolution(context: MatchContext, node: Node) -> Operator | None:
    w, params, shape = node.inputs[1], node.params, node.params["input_shape"]
    if set(params["dilation"]) != {1} or params["groups"] != 1:
        return None
    padding = padding_name(shape[1:-1], w.shape[:-2], params["strides"], params["padding"])
    if not isinstance(padding, str):
        return None
    options = {"shape": shape, "strides": params["strides"], "padding": padding}
    return Operator("conv_transpose", node.inputs, options)


def _pool(operator: Operator) -> Operator:
    params = {name: operator.params[name] for name in ("window", "strides")}
    sizes = operator.inputs[0].shape[1:-1]
    padding = padding_name(sizes, params["window"], params["strides"], operator.params["padding"])
    return replace(operator, params={**params, "padding": padding})


def pool(context: MatchContext, node: Node) -> Operator:
    return _pool(Operator(node.name, node.inputs, windows.window_of(node)))


def average_pool(context: MatchContext, node: Node) -> Operator | None:
    """An average over windows. Where these are padded, TensorFlow counts the elements inside."""
    operator = windows.average_pool(context, node)
    if operator is None:
        return None
    named = _pool(operator)
    if operator.params["count_include_pad"]:
        return replace(named, params={**named.params, "padding": operator.params["padding"]})
    return named if isinstance(named.params["padding"], str) else None


# -- products ------------------------------------------------------------------------------------------------


def product(context: MatchContext, node: Node) -> Operator:
    """A product of matrices, or Einsum."""
    x, y = node.inputs
    contract, batch = node.params["contract"], node.params["batch"]
    lead = len(batch[0])
    straight = batch == (tuple(range(lead)),) * 2 and len(contract[0]) == 1 and y.rank == lead + 2
    if straight and contract[0][0] == x.rank - 1 and (not lead or x.rank == y.rank):
        transposed = contract[1][0] == y.rank - 1
        return Operator("matmul", node.inputs, {"transpose_b": transposed})
    return Operator("einsum", node.inputs, {"equation": einsum_equation(x.rank, y.rank, contract, batch)})


def einsum_equation(x_rank: int, y_rank: int, contract: Any, batch: Any) -> str:
    """The equation of `dot_general`: axes of the batch first, then the free ones of x, then of y."""
    letters = iter(string.ascii_lowercase)
    x = [next(letters) for _ in range(x_rank)]
    y = [""] * y_rank
    for axes in (contract, batch):
        for a, b in zip(*axes, strict=True):
            y[b] = x[a]
    y = [letter or next(letters) for letter in y]
    free = [
        [s for a, s in enumerate(z) if a not in contract[i] and a not in batch[i]]
        for i, z in enumerate((x, y))
    ]
    return f"{''.join(x)},{''.join(y)}->{''.join([*(x[a] for a in batch[0]), *free[0], *free[1]])}"


def bias_add(context: MatchContext, node: Node) -> Operator | None:
    """A bias along the last axis of a product or convolution."""
    for x, other in (node.inputs, node.inputs[::-1]):
        if x.name in ("conv", "conv_input_grad", "dot_general") and x not in context.known and node.rank > 1:
            bias = products.bias_of(context, other, 1)
            if bias is not None:
                return Operator("bias_add", (x, bias))
    return None


def batch_normalization(context: MatchContext, node: Node) -> Operator | None:
    """The normalization of the channels of images, which TensorFlow has an operator for."""
    if node.rank != 4:
        return None
    operator = products.batch_normalization(context, node)
    if operator is None or operator.params["axis"] != 3 or not all(operator.params["present"][2:]):
        return None
    return operator


# -- sequences and images ------------------------------------------------------------------------------------


def attention(context: MatchContext, node: Node) -> Operator | None:
    q, k = node.inputs[:2]
    return sequences.attention(context, node) if q.shape[2] == k.shape[2] else None


def recurrent(last: int) -> Pattern:
    """A recurrent layer of which nothing but the results up to `last` are read; the first has all steps."""

    def pattern(context: MatchContext, node: Node) -> Operator | None:
        in_use = context.results_in_use(node)
        if not in_use <= set(range(last + 1)):
            return None
        return Operator(node.name, node.inputs, {"reverse": node.params["reverse"], "all_steps": 0 in in_use})

    return pattern


def _of_images(pattern: Pattern, sizes: str) -> Pattern:
    """Images that become larger along both of their axes or one."""

    def checked(context: MatchContext, node: Node) -> Operator | None:
        operator = pattern(context, node) if node.rank == 4 else None
        return (
            operator
            if operator is not None and operator.params[sizes][0] == operator.params[sizes][3] == 1
            else None
        )

    return checked


_ANY_DTYPE: dict[str, Sequence[Pattern]] = {
    "broadcast": (arrays.broadcast,),
    "gather": (sequences.embedding,),
    "pad": (arrays.pad,),
    "reshape": (sequences.column, arrays.reshape),
    "reverse": (sequences.turned_twice,),
    "slice": (arrays.strided_slice,),
    **{
        name: (arrays.elementwise,)
        for name in (
            "add", "and", "div", "eq", "ge", "gt", "le", "lt", "max", "min", "mul", "ne", "or", "pow",
            "select", "sub",
        )
    },
}  # fmt: skip
_FLOAT32: dict[str, Sequence[Pattern]] = {
    "add": (bias_add, batch_normalization, activations.softplus),
    "attention": (attention,),
    "conv": (convolution,),
    "conv_input_grad": (transposed_convolution,),
    "div": (windows.mean, average_pool, activations.softsign),
    "dot_general": (product,),
    "gelu": (as_it_is("approximate"),),
    "gru": (recurrent(1),),
    "layer_norm": (as_it_is("epsilon"),),
    "log_softmax": (as_it_is(),),
    "lstm": (recurrent(2),),
    "max": (activations.hard_sigmoid, activations.clip),
    "max_pool": (pool,),
    "min": (activations.hard_sigmoid, activations.clip),
    "mul": (activations.hard_silu, activations.hard_sigmoid, activations.selu, windows.mean, average_pool),
    "reduce_max": (as_it_is("axes"),),
    "reduce_min": (as_it_is("axes"),),
    "reduce_sum": (as_it_is("axes"),),
    "relu": (activations.clip,),
    "resample": (_of_images(windows.interpolated, "scales"),),
    "reshape": (_of_images(windows.nearest_resize, "repeats"), windows.reduction_with_kept_dims),
    "rms_norm": (as_it_is("epsilon"),),
    "select": (activations.hard_sigmoid, activations.clip, activations.leaky_relu, activations.elu),
    "softmax": (as_it_is(),),
    "sub": (activations.prelu,),
    "sum_pool": (pool,),
}
RULES: Mapping[str, Sequence[Callable[[MatchContext, Node], Operator | None]]] = {
    name: (*map(for_float32, _FLOAT32.get(name, ())), *_ANY_DTYPE.get(name, ()))
    for name in {**_FLOAT32, **_ANY_DTYPE}
}
