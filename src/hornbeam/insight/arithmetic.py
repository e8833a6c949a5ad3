"""Shapes and parameter counts as written arithmetic: `(28 - 3) / 1 + 1 = 26`.

The right side is always read from the model; the left side is built from its settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Shape = tuple[int | None, ...]


def integer(value: int) -> str:
    """Return an integer with separators: 1199882 -> "1,199,882"."""
    return f"{value:,}"


def count_of(count: int | None, word: str, plural: str = "") -> str:
    """Return a count with its noun: "1 filter", "32 filters", "? filters"."""
    if count == 1:
        return f"1 {word}"
    return f"{'?' if count is None else integer(count)} {plural or word + 's'}"


def shape_text(shape: Sequence[int | None]) -> str:
    """Return a shape without the batch: (None, 26, 26, 32) -> "26×26×32"."""
    return grid(shape[1:]) or "1 value"


def grid(sizes: Sequence[int | None]) -> str:
    """Return sizes joined by ×."""
    return "×".join("?" if size is None else str(size) for size in sizes)


def product(sizes: Iterable[int | None]) -> str:
    """Return a product that is not multiplied out: (26, 26, 32) -> "26 × 26 × 32"."""
    return " × ".join("?" if size is None else integer(size) for size in sizes)


def size_of(sizes: Iterable[int | None]) -> int | None:
    """Return the product of sizes; None if one is unknown."""
    known = list(sizes)
    return None if None in known else math.prod(known)  # type: ignore[arg-type]


def equals(left: str, right: int | None) -> str:
    """Return `left = right`, or `left` alone if the right side is unknown or the same."""
    return left if right is None or left == integer(right) else f"{left} = {integer(right)}"


def parameter_sum(weights: Sequence[Any]) -> str:
    """Return the shape of each weight, and their sum: `kernel 3 × 3 × 1 × 32 + bias 32 = 320`."""
    if not weights:
        return "none"
    parts = []
    for weight in weights:
        name = str(weight.name).rsplit("/", 1)[-1]
        parts.append(f"{name} {product(weight.shape)}" if weight.shape else f"{name} 1")
    return f"{' + '.join(parts)} = {integer(sum(weight.type.size for weight in weights))}"


def window_count(
    size: int | None, result: int | None, window: int, stride: int, dilation: int, same: bool
) -> str:
    """Return the number of windows of `window` positions, `dilation` apart, on `size` positions.

    It is floor((size - extent) / stride) + 1, and with padding "same" ceil(size / stride) (Dumoulin, Visin
    2016, https://arxiv.org/abs/1603.07285).
    """
    if size is None or result is None:
        return "depends on the input size"
    if same:
        return equals(_quotient(integer(size), stride, size % stride, "⌈", "⌉"), result) + " (zero padding)"
    extent = (window - 1) * dilation + 1
    written = str(extent) if dilation == 1 else f"(({window} - 1) × {dilation} + 1)"
    steps = _quotient(f"({integer(size)} - {written})", stride, (size - extent) % stride, "⌊", "⌋")
    return equals(f"{steps} + 1", result)


def _quotient(left: str, divisor: int, remainder: int, opening: str, closing: str) -> str:
    text = f"{left} / {divisor}"
    return f"{opening}{text}{closing}" if remainder else text


def transposed_size(
    size: int | None,
    result: int | None,
    window: int,
    stride: int,
    dilation: int,
    same: bool,
    output_padding: int | None,
) -> str:
    """Return the output size of a transposed convolution.

    It is size * stride with padding "same", else (size - 1) * stride + extent, at least size * stride; and
    with an output padding (size - 1) * stride + extent + padding, less the padding of "same".
    """
    if size is None or result is None:
        return "depends on the input size"
    extent = (window - 1) * dilation + 1
    if output_padding is not None:
        border = 2 * (extent // 2) if same else 0
        less = f" - {border}" if border else ""
        return equals(f"({integer(size)} - 1) × {stride} + {extent}{less} + {output_padding}", result)
    if same or extent < stride:
        return equals(f"{integer(size)} × {stride}", result)
    return equals(f"({integer(size)} - 1) × {stride} + {extent}", result)


def along_axes(sums: Sequence[str]) -> str:
    """Join one sum an axis; equal sums are written once."""
    if len(set(sums)) == 1:
        return sums[0] + (" along each axis" if len(sums) > 1 else "")
    return ", ".join(sums)


def percent(part: float, total: float) -> str:
    """Return a proportion in percent; "" if the total is 0."""
    if not total:
        return ""
    proportion = part / total
    return "under 0.1%" if 0 < proportion < 0.001 else f"{proportion:.1%}".replace(".0%", "%")
