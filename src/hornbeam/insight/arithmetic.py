"""Arithmetic as people write it: `(28 - 3) / 1 + 1 = 26`. Every line holds a sum and what it comes to.

The right side is always read off the model, the left side is made of its settings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Shape = tuple[int | None, ...]


def number(value: int) -> str:
    """1199882 -> "1,199,882"."""
    return f"{value:,}"


def volume(shape: Sequence[int | None]) -> str:
    """(None, 26, 26, 32) -> "26×26×32"; the batch is left out."""
    return "×".join("?" if size is None else str(size) for size in shape[1:]) or "1 number"


def product(sizes: Iterable[int | None]) -> str:
    """(26, 26, 32) -> "26 × 26 × 32"."""
    return " × ".join("?" if size is None else number(size) for size in sizes)


def size_of(sizes: Iterable[int | None]) -> int | None:
    """The product of sizes; None if one is unknown."""
    known = list(sizes)
    return None if None in known else math.prod(known)  # type: ignore[arg-type]


def equals(left: str, right: int | None) -> str:
    """`left = right`; `left` alone where the right side is not known, or says the same."""
    return left if right is None or left == number(right) else f"{left} = {number(right)}"


def weight_sum(weights: Sequence[Any]) -> str:
    """`kernel 3 × 3 × 1 × 32 + bias 32 = 320`: each weight's shape, and the number of parameters."""
    if not weights:
        return "none"
    parts = []
    for weight in weights:
        name = str(weight.name).rsplit("/", 1)[-1]
        parts.append(f"{name} {product(weight.shape)}" if weight.shape else f"{name} 1")
    return f"{' + '.join(parts)} = {number(sum(weight.type.size for weight in weights))}"


def window_sum(
    size: int | None, made: int | None, window: int, stride: int, dilation: int, same: bool
) -> str:
    """How many places a window of `window` positions, `dilation` apart, has on `size` positions in steps of
    `stride`: (size - reach) / stride + 1, rounded down; with padding "same" size / stride, rounded up.

    Dumoulin & Visin 2016, https://arxiv.org/abs/1603.07285.
    """
    if size is None or made is None:
        return "as many places as the input's size gives"
    if same:
        if stride == 1:
            return f"{number(size)} stay {number(made)} (a rim of zeros)"
        return equals(_rounded(number(size), stride, size % stride, "⌈", "⌉"), made)
    reach = (window - 1) * dilation + 1
    wide = str(reach) if dilation == 1 else f"(({window} - 1) × {dilation} + 1)"
    moves = _rounded(f"({number(size)} - {wide})", stride, (size - reach) % stride, "⌊", "⌋")
    return equals(f"{moves} + 1", made)


def _rounded(left: str, divisor: int, rest: int, before: str, behind: str) -> str:
    whole = f"{left} / {divisor}"
    return f"{before}{whole}{behind}" if rest else whole


def spread_sum(
    size: int | None, made: int | None, window: int, stride: int, dilation: int, same: bool, extra: int | None
) -> str:
    """Places of a transposed window: size * stride with "same", else (size - 1) * stride + reach, at least
    size * stride; with an output padding (size - 1) * stride + reach + extra, less the rim of "same"."""
    if size is None or made is None:
        return "as many places as the input's size gives"
    reach = (window - 1) * dilation + 1
    if extra is not None:
        rim = 2 * (reach // 2) if same else 0
        tail = f" - {rim}" if rim else ""
        return equals(f"({number(size)} - 1) × {stride} + {reach}{tail} + {extra}", made)
    if same:
        return equals(f"{number(size)} × {stride}", made)
    if reach < stride:
        return equals(f"{number(size)} × {stride}", made)
    return equals(f"({number(size)} - 1) × {stride} + {reach}", made)


def along_axes(sums: Sequence[str]) -> str:
    """One sum an axis, said once where all are equal."""
    if len(set(sums)) == 1:
        return sums[0] + (" along each axis" if len(sums) > 1 else "")
    return ", ".join(sums)


def percent(part: float, whole: float) -> str:
    """A share as people say it; "" of nothing."""
    if not whole:
        return ""
    share = part / whole
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}".replace(".0%", "%")
