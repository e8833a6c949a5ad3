"""Kinds of cases: each function makes a case from the sizes that a reader knows from nets.

Strided convolutions and pools are unpadded, on inputs that contain the padding: libraries pad an even size
differently. Others have padding "same".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.atlas.cases import Case, Operand

Sizes = int | Sequence[int]


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _label(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _image(batch: int, size: Sequence[int], channels: int) -> Operand:
    return Operand((batch, *size, channels), "image")


def _named(name: str, value: int) -> str:
    return f"{name} {value}" if value > 1 else ""


def conv(
    size: Sequence[int],
    channels: int,
    filters: int,
    kernel: Sequence[int],
    batch: int = 8,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> Case:
    """Convolution over one to three axes."""
    padding = "same" if stride == 1 else "valid"
    out = [n if stride == 1 else (n - k) // stride + 1 for n, k in zip(size, kernel, strict=True)]
    return Case(
        f"conv{len(size)}d",
        _label(
            f"{_by(size)}x{channels} to {filters}",
            _by(kernel),
            _named("stride", stride),
            _named("dilation", dilation),
            f"{groups} groups" if groups > 1 else "",
            f"batch {batch}",
        ),
        (
            _image(batch, size, channels),
            Operand((*kernel, channels // groups, filters), "kernel"),
        ),
        {"strides": stride, "padding": padding, "dilation": dilation, "groups": groups},
        flops=2.0 * batch * math.prod(out) * math.prod(kernel) * (channels // groups) * filters,
        result="image",
    )


def depthwise(
    size: Sequence[int], channels: int, kernel: Sequence[int], batch: int = 8, stride: int = 1
) -> Case:
    """Depthwise convolution: one filter a channel."""
    out = [n if stride == 1 else (n - k) // stride + 1 for n, k in zip(size, kernel, strict=True)]
    return Case(
        "depthwise",
        _label(f"{_by(size)}x{channels}", _by(kernel), _named("stride", stride), f"batch {batch}"),
        (_image(batch, size, channels), Operand((*kernel, channels, 1), "depthwise kernel")),
        {"strides": stride, "padding": "same" if stride == 1 else "valid"},
        flops=2.0 * batch * math.prod(out) * math.prod(kernel) * channels,
        result="image",
    )


def transposed(
    size: Sequence[int],
    channels: int,
    filters: int,
    kernel: Sequence[int],
    stride: int,
    batch: int = 8,
    padding: str = "valid",
) -> Case:
    """Transposed convolution. Padding "same" is the same everywhere if kernel - stride is even."""
    return Case(
        "conv transposed",
        _label(
            f"{_by(size)}x{channels} to {filters}",
            _by(kernel),
            _named("stride", stride),
            padding if padding == "same" else "",
            f"batch {batch}",
        ),
        (_image(batch, size, channels), Operand((*kernel, filters, channels), "kernel")),
        {"strides": stride, "padding": padding, "kernel": list(kernel)},
        flops=2.0 * batch * math.prod(size) * math.prod(kernel) * channels * filters,
        result="image",
    )


def product(rows: int, inner: int, columns: int) -> Case:
    """Product of two matrices."""
    return Case(
        "matmul",
        f"{rows}x{inner}x{columns}",
        (Operand((rows, inner)), Operand((inner, columns))),
        flops=2.0 * rows * inner * columns,
    )


def batched(batch: int, rows: int, inner: int, columns: int) -> Case:
    """Products of many pairs of matrices."""
    return Case(
        "batched matmul",
        f"{batch} of {rows}x{inner}x{columns}",
        (Operand((batch, rows, inner)), Operand((batch, inner, columns))),
        flops=2.0 * batch * rows * inner * columns,
    )


def attention(
    batch: int,
    length: int,
    heads: int,
    size: int,
    keys: int | None = None,
    key_heads: int | None = None,
    causal: bool = False,
    mask: bool = False,
    dropout: float = 0.0,
) -> Case:
    """Scaled dot-product attention of queries to `keys` keys (default: as many)."""
    keys, key_heads = keys or length, key_heads or heads
    operands = [Operand((batch, length, heads, size), "heads")]
    operands += [Operand((batch, keys, key_heads, size), "heads") for _ in range(2)]
    if mask:
        operands.append(Operand((batch, 1, 1, keys), values="mask"))
    return Case(
        "attention",
        _label(
            f"{length} of {heads} heads of {size}",
            f"{keys} keys" if keys != length else "",
            f"{key_heads} key heads" if key_heads != heads else "",
            "causal" if causal else "",
            "padding mask" if mask else "",
            f"dropout {dropout}" if dropout else "",
            f"batch {batch}",
        ),
        tuple(operands),
        {"causal": causal, "dropout": dropout, "length": length, "heads": heads, "size": size},
        flops=4.0 * batch * heads * length * keys * size / (2 if causal else 1),
        result="heads",
        random=bool(dropout),
    )


_GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3}


def recurrent(cell: str, batch: int, steps: int, features: int, units: int) -> Case:
    """Recurrent layer that returns all outputs."""
    gates = _GATES[cell] * units
    layout, bias = ("gates", (2, gates)) if cell == "gru" else ("matrix", (gates,))
    scale = 1 / math.sqrt(units)
    return Case(
        cell,
        f"{steps} steps of {features} to {units}, batch {batch}",
        (
            Operand((batch, steps, features)),
            Operand((features, gates), layout, scale=scale),
            Operand((units, gates), layout, scale=scale),
            Operand(bias, "gate bias" if cell == "gru" else "", scale=scale),
        ),
        {"units": units, "features": features, "batch": batch},
        flops=2.0 * batch * steps * (features + units) * gates,
    )


def pool(
    kind: str, size: Sequence[int], channels: int, window: int, stride: int | None = None, batch: int = 8
) -> Case:
    """Pooling by "max" or "average"."""
    stride = stride or window
    return Case(
        f"{kind} pool",
        _label(
            f"{_by(size)}x{channels}",
            _by((window,) * len(size)),
            f"stride {stride}" if stride != window else "",
            f"batch {batch}",
        ),
        (_image(batch, size, channels),),
        {"window": window, "strides": stride},
        result="image",
    )


def layer_norm(rows: int, columns: int) -> Case:
    """Layer normalization of rows."""
    operands = (Operand((rows, columns)), Operand((columns,)), Operand((columns,)))
    return Case("layer norm", f"{rows:,} rows of {columns:,}", operands, {"columns": columns})


def rms_norm(rows: int, columns: int) -> Case:
    """Root-mean-square normalization of rows."""
    operands = (Operand((rows, columns)), Operand((columns,)))
    return Case("rms norm", f"{rows:,} rows of {columns:,}", operands, {"columns": columns})


def batch_norm(size: Sequence[int], channels: int, batch: int, training: bool = True) -> Case:
    """Batch normalization, by the statistics of the batch or by moving ones."""
    shape = f"{_by(size)}x{channels}" if size else f"{channels} features"
    x = _image(batch, size, channels) if size else Operand((batch, channels))
    return Case(
        "batch norm",
        _label(shape, f"batch {batch}", "" if training else "moving statistics"),
        (x, Operand((channels,)), Operand((channels,))),
        {"channels": channels, "training": training},
        result=x.layout,
        backward=training,
    )


def group_norm(size: Sequence[int], channels: int, groups: int, batch: int = 8) -> Case:
    """Group normalization."""
    return Case(
        "group norm",
        f"{_by(size)}x{channels}, {groups} groups, batch {batch}",
        (_image(batch, size, channels), Operand((channels,)), Operand((channels,))),
        {"channels": channels, "groups": groups},
        result="image",
    )


def softmax(rows: int, columns: int, log: bool = False) -> Case:
    """Softmax of rows, or its logarithm."""
    operands = (Operand((rows, columns)),)
    return Case("log softmax" if log else "softmax", f"{rows:,} rows of {columns:,}", operands)


def cross_entropy(rows: int, classes: int) -> Case:
    """Mean cross-entropy of logits with integer labels."""
    labels = Operand((rows,), values="integers", limit=classes)
    return Case("cross-entropy", f"{rows:,} rows, {classes:,} classes", (Operand((rows, classes)), labels))


# Their gradient is a broadcast, which other libraries do not write out.
_COPIED = ("sum", "mean", "argmax")


def reduction(operation: str, shape: Sequence[int], axes: Sequence[int]) -> Case:
    """Reduction over axes: sum, mean, max, var, logsumexp, argmax."""
    return Case(
        "reduction",
        f"{operation} of {_by(shape)} over {', '.join(map(str, axes))}",
        (Operand(tuple(shape), values="distinct" if operation in ("max", "argmax") else "normal"),),
        {"operation": operation, "axes": list(axes)},
        backward=operation not in _COPIED,
    )


def along(family: str, shape: Sequence[int], axis: int = -1, count: int | None = None) -> Case:
    """Cumulative sum, sort, argsort or top-k (`count`) along an axis."""
    return Case(
        family,
        _label(_by(shape), f"axis {axis}" if axis != -1 else "", f"{count} largest" if count else ""),
        (Operand(tuple(shape), values="normal" if family == "cumulative sum" else "distinct"),),
        {"axis": axis, "count": count},
        backward=family != "argsort",
    )


def embedding(rows: int, columns: int, indices: Sequence[int]) -> Case:
    """Rows of a table; backward, the table's dense gradient."""
    count = math.prod(indices)
    return Case(
        "embedding",
        f"{_by(indices)} of {rows:,}x{columns}",
        (
            Operand((rows, columns), touched=count * columns),
            Operand(tuple(indices), values="integers", limit=rows),
        ),
    )


def gather(shape: Sequence[int], axis: int, count: int) -> Case:
    """Slices at indices along an axis."""
    touched = math.prod(shape) // shape[axis] * count
    return Case(
        "gather",
        f"{count} of {_by(shape)}, axis {axis}",
        (
            Operand(tuple(shape), touched=touched),
            Operand((count,), values="integers", limit=shape[axis]),
        ),
        {"axis": axis},
    )


def take_along(shape: Sequence[int], count: int) -> Case:
    """For each row its own elements, at indices along the last axis."""
    indices = (*shape[:-1], count)
    return Case(
        "take along axis",
        f"{count} of each row of {_by(shape)}",
        (
            Operand(tuple(shape), touched=math.prod(indices)),
            Operand(indices, values="integers", limit=shape[-1]),
        ),
    )


def scatter(rows: int, columns: int, segments: int) -> Case:
    """Sums of rows by segment, in any order."""
    return Case(
        "scatter add",
        f"{rows:,} rows of {columns} to {segments:,}",
        (Operand((rows, columns)), Operand((rows,), values="integers", limit=segments)),
        {"segments": segments},
    )


_POSITIVE = ("log", "sqrt", "rsqrt")


def elementwise(operation: str, count: int = 1, shape: Sequence[int] = (4_000_000,)) -> Case:
    """Elementwise function of `count` operands of one shape."""
    values = "positive" if operation in _POSITIVE else "normal"
    return Case(
        "elementwise",
        f"{operation} of {_by(shape)}",
        tuple(Operand(tuple(shape), values=values) for _ in range(count)),
        {"operation": operation},
        backward=operation != "add",
    )


def where(shape: Sequence[int]) -> Case:
    """Selection by a mask."""
    operands = (Operand(tuple(shape), values="mask"), *(Operand(tuple(shape)) for _ in range(2)))
    return Case("elementwise", f"where of {_by(shape)}", operands, {"operation": "where"})


def bias(operation: str, rows: int, columns: int) -> Case:
    """Bias of the last axis added, then an activation."""
    operands = (Operand((rows, columns)), Operand((columns,)))
    return Case("bias", f"and {operation}, {rows:,} rows of {columns:,}", operands, {"operation": operation})


def transpose(shape: Sequence[int], order: Sequence[int]) -> Case:
    """Axes in another order, as contiguous memory."""
    return Case(
        "transpose",
        f"{_by(shape)} to {', '.join(map(str, order))}",
        (Operand(tuple(shape)),),
        {"order": list(order)},
        backward=False,
    )


def pad(shape: Sequence[int], pads: Sequence[Sequence[int]]) -> Case:
    """Zeros around."""
    label = f"{_by(shape)} by {', '.join(f'{a}+{b}' for a, b in pads)}"
    return Case("pad", label, (Operand(tuple(shape)),), {"pads": [list(pair) for pair in pads]})


def concatenate(shapes: Sequence[Sequence[int]], axis: int) -> Case:
    """Arrays joined along an axis."""
    return Case(
        "concatenate",
        f"{' and '.join(map(_by, shapes))}, axis {axis}",
        tuple(Operand(tuple(shape)) for shape in shapes),
        {"axis": axis},
        backward=False,
    )


def resize(size: Sequence[int], channels: int, into: Sequence[int], method: str, batch: int = 8) -> Case:
    """Images resized."""
    return Case(
        "resize",
        f"{_by(size)}x{channels} to {_by(into)}, {method}, batch {batch}",
        (_image(batch, size, channels),),
        {"into": list(into), "method": method},
        result="image",
    )


def one_hot(count: int, classes: int) -> Case:
    """Integers as vectors."""
    labels = Operand((count,), values="integers", limit=classes)
    return Case("one-hot", f"{count:,} of {classes:,}", (labels,), {"classes": classes}, backward=False)


def random(distribution: str, shape: Sequence[int]) -> Case:
    """Random numbers: uniform, normal, truncated normal, integers."""
    return Case(
        "random",
        f"{distribution} {_by(shape)}",
        (),
        {"distribution": distribution, "shape": list(shape)},
        backward=False,
        random=True,
    )


def dropout(shape: Sequence[int], rate: float) -> Case:
    """Dropout."""
    label = f"{rate} of {_by(shape)}"
    return Case("dropout", label, (Operand(tuple(shape)),), {"rate": rate}, random=True)


# Keras's names, and how many numbers of state a variable has for each of its own. PyTorch lacks some.
RULES = {
    "SGD": 0, "SGD momentum": 1, "SGD nesterov": 1, "Adam": 2, "AdamW": 2, "Nadam": 2, "Adamax": 2,
    "RMSprop": 1, "Adagrad": 1, "Adadelta": 2, "Adafactor": 0, "Ftrl": 2, "Lamb": 2, "Lion": 1, "Muon": 1,
    "ScheduleFreeAdamW": 2,
}  # fmt: skip
# Products of Muon's five Newton-Schulz steps.
_MUON_PRODUCTS = 15


def optimizer(rule: str, *shapes: Sequence[int], copies: int = 1) -> Case:
    """One update of variables by an optimizer; operands are the variables, then their gradients.

    Gradients are far from 0, where libraries add epsilon in different places.
    """
    every = [tuple(shape) for shape in shapes] * copies
    size = sum(map(math.prod, every))
    label = f"{copies} times {_by(shapes[0])}" if copies > 1 else ", ".join(map(_by, shapes))
    return Case(
        "optimizer",
        f"{rule}, {label}",
        tuple(Operand(shape, values=values) for values in ("normal", "positive") for shape in every),
        {"rule": rule},
        flops=2.0 * _MUON_PRODUCTS * size * min(every[0]) if rule == "Muon" else 0.0,
        state=RULES[rule] * size,
        backward=False,
    )


def call(operation: str, *shapes: Sequence[int]) -> Case:
    """A call whose work is next to nothing."""
    label = f"{operation} of {' and '.join(_by(shape) or 'one number' for shape in shapes)}"
    return Case("call", label, tuple(Operand(tuple(shape)) for shape in shapes), {"operation": operation})
