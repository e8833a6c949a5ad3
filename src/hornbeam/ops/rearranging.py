"""Splitting, merging and moving axes at once: rearrange, space and depth, unfold and fold."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import Sizes
from hornbeam.config import standard_data_format
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import node_of, static_int

__all__ = ["depth_to_space", "fold", "rearrange", "space_to_depth", "unfold"]

# -- rearrange -----------------------------------------------------------------------------------------------


def _groups(side: str, pattern: str) -> list[list[str]]:
    """Parse a side of a pattern: "b (h w) c" -> [["b"], ["h", "w"], ["c"]]."""
    tokens = re.findall(r"\(|\)|\.\.\.|[A-Za-z_]\w*|1|\S", side)
    groups: list[list[str]] = []
    inside: list[str] | None = None
    for token in tokens:
        if token == "(" and inside is None:
            inside = []
        elif token == ")" and inside is not None:
            groups.append(inside)
            inside = None
        elif token in ("...", "1") or token.isidentifier():
            if inside is None:
                groups.append([] if token == "1" else [token])
            elif token not in ("1", "..."):
                inside.append(token)
            elif token == "...":
                raise ValueError(f'rearrange: "..." must not be in parentheses: {pattern!r}')
        else:
            raise ValueError(f"rearrange: cannot read {token!r} in {pattern!r}")
    if inside is not None:
        raise ValueError(f"rearrange: a parenthesis is not closed in {pattern!r}")
    return groups


def _spread_dots(groups: list[list[str]], rank: int, pattern: str) -> list[list[str]]:
    if ["..."] not in groups:
        return groups
    at = groups.index(["..."])
    count = rank - len(groups) + 1
    if count < 0:
        raise ShapeError(f"rearrange: {pattern!r} needs more than {rank} axes")
    return [*groups[:at], *([f"...{i}"] for i in range(count)), *groups[at + 1 :]]


def _lengths(group: list[str], size: int, known: dict[str, int], pattern: str) -> None:
    """Infer the one unknown length of a group."""
    open_ = [name for name in group if name not in known]
    product = math.prod(known[name] for name in group if name in known)
    if len(open_) > 1:
        raise ValueError(f"rearrange: give the lengths of all but one of {group} in {pattern!r}")
    if open_ and product and size % product == 0:
        known[open_[0]] = size // product
    elif open_ or product != size:
        raise ShapeError(f"rearrange: an axis of size {size} is not the product of {group} in {pattern!r}")


@operation
def rearrange(tensor: TensorLike, pattern: str, **axes_lengths: int) -> Tensor:
    """Split, permute and merge axes as a pattern says, such as "b (h w) c -> b c h w" with h=4.

    Args:
        tensor: Tensor with the axes that the pattern names.
        pattern: Names of axes before and after; parentheses hold axes that are one axis of the tensor, "..."
            matches any axes, 1 an axis of size 1.
        **axes_lengths: Sizes of axes by name, where they cannot be inferred.

    Returns:
        Tensor in the dtype of `tensor`.

    Raises:
        ValueError: If the pattern is malformed, or a length belongs to no axis of it.
        ShapeError: If the pattern names another number of axes than the tensor has.

    Example:
        >>> hornbeam.ops.rearrange(hornbeam.ops.ones((2, 12, 3)), "b (h w) c -> b c h w", h=4).shape
        (2, 3, 4, 3)

    Source: Rogozhnikov, "Einops", 2022.
    """
    node = node_of(tensor)
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f'rearrange: a pattern looks like "a b -> b a", got {pattern!r}')
    source = _spread_dots(_groups(left, pattern), node.rank, pattern)
    if len(source) != node.rank:
        raise ShapeError(f"rearrange: {pattern!r} names {len(source)} axes, the tensor has {node.rank}")
    dots = [group[0] for group in source if group and group[0].startswith("...")]
    target = [[d] for d in dots]
    result = _groups(right, pattern)
    if ["..."] in result:
        at = result.index(["..."])
        result = [*result[:at], *target, *result[at + 1 :]]
    names, order = [n for g in source for n in g], [n for g in result for n in g]
    if sorted(names) != sorted(order) or len(set(names)) != len(names):
        raise ValueError(f"rearrange: both sides must name the same axes, each once: {pattern!r}")
    lengths = {name: static_int(size, name) for name, size in axes_lengths.items()}
    if not set(lengths) <= set(names):
        raise ValueError(f"rearrange: {sorted(set(lengths) - set(names))} are not axes of {pattern!r}")
    for group, size in zip(source, node.shape, strict=True):
        _lengths(group, size, lengths, pattern)
    split = p.reshape(node, tuple(lengths[name] for name in names))
    transposed = p.transpose(split, tuple(names.index(name) for name in order))
    return Tensor(
        p.reshape(transposed, tuple(math.prod(lengths[name] for name in group) for group in result))
    )


# -- space and depth -----------------------------------------------------------------------------------------


def _image(x: TensorLike, block_size: int, data_format: str, name: str) -> tuple[Node, int, bool]:
    node, block = node_of(x), static_int(block_size, "block_size")
    if node.rank != 4 or block < 1:
        raise ShapeError(
            f"{name} needs images with four axes and a positive block, got {node.shape} and {block}"
        )
    first = standard_data_format(data_format) == "channels_first"
    return (p.transpose(node, (0, 2, 3, 1)) if first else node), block, first


def _formatted(node: Node, first: bool) -> Tensor:
    return Tensor(p.transpose(node, (0, 3, 1, 2)) if first else node)


@operation
def depth_to_space(x: TensorLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Move channels to blocks of pixels (pixel shuffle): (n, h, w, b b c) -> (n, h b, w b, c).

    Args:
        x: Tensor (n, h, w, c) or (n, c, h, w), by `data_format`, a batch of images.
        block_size: Integer b, height and width of a block.
        data_format: "channels_last" or "channels_first".

    Returns:
        Tensor in the dtype of `x`.

    Raises:
        ShapeError: If the channels are not divisible by the square of `block_size`.

    Example:
        >>> hornbeam.ops.depth_to_space(hornbeam.ops.ones((1, 2, 2, 12)), 2).shape
        (1, 4, 4, 3)
    """
    node, b, first = _image(x, block_size, data_format, "depth_to_space")
    n, h, w, c = node.shape
    if c % (b * b):
        raise ShapeError(f"depth_to_space: {c} channels are not divisible by {b} * {b}")
    depth = c // (b * b)
    split = p.transpose(p.reshape(node, (n, h, w, b, b, depth)), (0, 1, 3, 2, 4, 5))
    return _formatted(p.reshape(split, (n, h * b, w * b, depth)), first)


@operation
def space_to_depth(x: TensorLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Move blocks of pixels to channels: (n, h b, w b, c) -> (n, h, w, b b c); inverse of `depth_to_space`.

    Args:
        x: Tensor (n, h, w, c) or (n, c, h, w), by `data_format`, a batch of images.
        block_size: Integer b, height and width of a block.
        data_format: "channels_last" or "channels_first".

    Returns:
        Tensor in the dtype of `x`.

    Raises:
        ShapeError: If the images are not divisible into blocks.

    Example:
        >>> hornbeam.ops.space_to_depth(hornbeam.ops.ones((1, 4, 4, 3)), 2).shape
        (1, 2, 2, 12)
    """
    node, b, first = _image(x, block_size, data_format, "space_to_depth")
    n, h, w, c = node.shape
    if h % b or w % b:
        raise ShapeError(f"space_to_depth: images of {h} x {w} are not divisible into blocks of {b}")
    split = p.reshape(node, (n, h // b, b, w // b, b, c))
    transposed = p.transpose(split, (0, 1, 3, 2, 4, 5))
    return _formatted(p.reshape(transposed, (n, h // b, w // b, b * b * c)), first)


# -- patches -------------------------------------------------------------------------------------------------


def shifted_slices(
    x: Node, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int], counts: Sequence[int]
) -> list[Node]:
    """Return x (n, *spatial, c) at each position of the window, in row-major order: (n, *counts, c) each."""
    slices = []
    for offset in np.ndindex(*window):
        start = tuple(i * d for i, d in zip(offset, dilation, strict=True))
        stop = tuple(a + (n - 1) * s + 1 for a, n, s in zip(start, counts, strides, strict=True))
        slices.append(p.slice_(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return slices


def _two(value: Sizes, name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(pair) != 2:
        raise ValueError(f"{name} must be an integer or a pair of integers, got {value!r}")
    return int(pair[0]), int(pair[1])


def _window_pairs(
    kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> list[tuple[int, int]]:
    """Return the arguments of `unfold` and `fold` as pairs, in this order."""
    return [
        _two(kernel_size, "kernel_size"),
        _two(dilation, "dilation"),
        _two(padding, "padding"),
        _two(stride, "stride"),
    ]


def _counts(
    sizes: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]
) -> tuple[int, ...]:
    counts = tuple(
        (n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(sizes, kernel, dilation, stride, strict=True)
    )
    if min(counts) < 1:
        raise ShapeError(
            f"a window of {tuple(kernel)} with dilation {tuple(dilation)} does not fit into {tuple(sizes)}"
        )
    return counts


@operation
def unfold(
    x: TensorLike,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Extract windows of images (n, c, h, w) as columns.

    Args:
        x: Tensor (n, c, h, w).
        kernel_size: Integer or pair of integers, the size of the windows.
        dilation: Integer or pair of integers, the distance of elements in a window.
        padding: Integer or pair of integers, zeros on each side.
        stride: Integer or pair of integers, the distance of windows.

    Returns:
        Tensor (n, c * kernel height * kernel width, number of windows).

    Raises:
        ShapeError: If the images are not (n, c, h, w).

    Example:
        >>> hornbeam.ops.unfold(hornbeam.ops.ones((1, 3, 4, 4)), 2, stride=2).shape
        (1, 12, 4)
    """
    node = node_of(x)
    if node.rank != 4:
        raise ShapeError(f"unfold needs images (n, c, h, w), got shape {node.shape}")
    kernel, step, margin, stride = _window_pairs(kernel_size, dilation, padding, stride)
    padded = p.pad(node, 0, (0, 0, *margin), (0, 0, *margin))
    images = p.transpose(padded, (0, 2, 3, 1))
    counts = _counts(images.shape[1:3], kernel, step, stride)
    parts = shifted_slices(images, kernel, stride, step, counts)
    n, c, places = node.shape[0], node.shape[1], len(parts)
    stacked = p.concatenate(*(p.reshape(s, (n, math.prod(counts), c, 1)) for s in parts), axis=3)
    return Tensor(p.reshape(p.transpose(stacked, (0, 2, 3, 1)), (n, c * places, math.prod(counts))))


@operation
def fold(
    x: TensorLike,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Tensor:
    """Put columns back as windows of images and add where they overlap: the transpose of `unfold`.

    Args:
        x: Tensor (n, c * kernel height * kernel width, number of windows).
        output_size: Integer or pair of integers, height and width of the images.
        kernel_size: Integer or pair of integers, the size of the windows.
        dilation: Integer or pair of integers, the distance of elements in a window.
        padding: Integer or pair of integers, zeros on each side.
        stride: Integer or pair of integers, the distance of windows.

    Returns:
        Tensor (n, c, *output_size).

    Raises:
        ShapeError: If the columns are not windows of such images.

    Example:
        >>> hornbeam.ops.fold(hornbeam.ops.ones((1, 12, 4)), 4, 2, stride=2).shape
        (1, 3, 4, 4)
    """
    node = node_of(x)
    kernel, step, margin, stride = _window_pairs(kernel_size, dilation, padding, stride)
    size = _two(output_size, "output_size")
    grown = tuple(n + 2 * m for n, m in zip(size, margin, strict=True))
    counts = _counts(grown, kernel, step, stride)
    places = math.prod(kernel)
    if node.rank != 3 or node.shape[1] % places or node.shape[2] != math.prod(counts):
        raise ShapeError(
            f"fold: columns of shape {node.shape} are not windows of {kernel} in images of {size}"
        )
    n, c = node.shape[0], node.shape[1] // places
    parts = p.reshape(node, (n, c, places, *counts))
    total: Node | None = None
    for index, offset in enumerate(np.ndindex(*kernel)):
        part = p.reshape(p.slice_(parts, (0, 0, index, 0, 0), (n, c, index + 1, *counts)), (n, c, *counts))
        low = tuple(i * d for i, d in zip(offset, step, strict=True))
        high = tuple(g - a - (k - 1) * s - 1 for g, a, k, s in zip(grown, low, counts, stride, strict=True))
        padded = p.pad(part, 0, (0, 0, *low), (0, 0, *high), (0, 0, *(s - 1 for s in stride)))
        total = padded if total is None else total + padded
    assert total is not None
    start = (0, 0, *margin)
    return Tensor(p.slice_(total, start, (n, c, *(m + s for m, s in zip(margin, size, strict=True)))))
