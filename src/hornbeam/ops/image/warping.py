"""Sampling of images at computed positions: coordinates, affine and perspective transforms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hornbeam import primitives as p
from hornbeam.core.convert import broadcast_node, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import ShapeError, TensorType, is_float
from hornbeam.ops._common import image_batch, node_of
from hornbeam.ops.linalg import solve

__all__ = ["affine_transform", "map_coordinates", "perspective_transform"]

_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _modulo(x: Node, size: int) -> Node:
    return x - p.floor(x / size) * size


def _inside(positions: Node, size: int, mode: str) -> Node:
    """Map integer positions (as floats) to 0 ... size - 1 by the fill mode."""
    last = full(size - 1, positions.type)
    zero = zeros_like(positions)
    if mode == "wrap":
        return _modulo(positions, size)
    if mode == "mirror":  # about the centres of the edge pixels
        if size == 1:
            return zero
        period = 2 * (size - 1)
        reflected = _modulo(positions, period)
        return p.minimum(reflected, period - reflected)
    if mode == "reflect":  # about the edges
        reflected = _modulo(positions, 2 * size)
        return p.minimum(reflected, (2 * size - 1) - reflected)
    return p.minimum(p.maximum(positions, zero), last)


class _Reader:
    """Tensor whose slices are read at positions along the axes after `batch_dims`."""

    def __init__(self, node: Node, count: int, mode: str, fill: Node, batch_dims: int) -> None:
        self.sizes = node.shape[batch_dims : batch_dims + count]
        self.batch = node.shape[:batch_dims]
        self.mode, self.fill = mode, fill
        # One merged axis of slices needs one index instead of several.
        rest = node.shape[batch_dims + count :]
        self.slices = p.reshape(node, (math.prod(self.batch) * math.prod(self.sizes), *rest))

    def read(self, positions: Sequence[Node]) -> Node:
        """Return the slices at integer positions; `fill` beyond the edges in "constant" mode."""
        shape = positions[0].shape
        index: Node | None = None
        for axis, size in enumerate(self.batch):
            index = _next_digit(index, p.iota("int32", shape, axis), size)
        for position, size in zip(positions, self.sizes, strict=True):
            index = _next_digit(index, p.convert(_inside(position, size, self.mode), "int32"), size)
        assert index is not None
        slices = p.gather(self.slices, p.reshape(index, (*shape, 1)))
        if self.mode != "constant":
            return slices
        valid: Node | None = None
        for position, size in zip(positions, self.sizes, strict=True):
            here = p.bit_and(
                p.ge(position, zeros_like(position)), p.le(position, full(size - 1, position.type))
            )
            valid = here if valid is None else p.bit_and(valid, here)
        assert valid is not None
        valid = p.broadcast(valid, slices.shape, tuple(range(len(shape))))
        return p.select(valid, slices, p.broadcast(self.fill, slices.shape, ()))


def _next_digit(index: Node | None, digit: Node, size: int) -> Node:
    return digit if index is None else index * size + digit


def sampled(
    node: Node, positions: list[Node], order: int, mode: str, fill_value: TensorLike, batch_dims: int = 0
) -> Node:
    """Sample a float tensor at fractional positions along the axes after `batch_dims`.

    order 0 takes the nearest pixel, order 1 interpolates linearly.
    """
    if order not in (0, 1):
        raise ValueError(f"order must be 0 (nearest) or 1 (linear), got {order!r}")
    if mode not in _FILL_MODES:
        raise ValueError(f"fill_mode must be one of {', '.join(_FILL_MODES)}, got {mode!r}")
    reader = _Reader(node, len(positions), mode, cast_node(fill_value, node.dtype), batch_dims)
    if order == 0:
        return reader.read([p.round_even(c) for c in positions])
    floors = [p.floor(c) for c in positions]

    def between(corner: tuple[Node, ...]) -> Node:
        """Interpolate at a corner of which the first axes are known, on a line along the next axis."""
        axis = len(corner)
        if axis == len(positions):
            return reader.read(corner)
        low, high = (between((*corner, floors[axis] + step)) for step in (0.0, 1.0))
        part = p.convert(positions[axis] - floors[axis], node.dtype)
        return low + p.broadcast(part, low.shape, tuple(range(part.rank))) * (high - low)

    return between(())


def on_grids(node: Node, rows: Node, columns: Node, order: int, mode: str, fill_value: TensorLike) -> Node:
    """Sample float images (n, h, w, c) where `rows` (n, h') and `columns` (n, w') of each image cross.

    As `sampled`, but whole rows are read at once, and columns are interpolated by a sparse matrix for each
    image: a product is faster than reading pixel by pixel.
    """
    node = sampled(node, [rows], order, mode, fill_value, batch_dims=1)
    count, size = columns.shape[1], node.shape[2]
    floor = p.round_even(columns) if order == 0 else p.floor(columns)
    part = columns - floor
    grid = (node.shape[0], count, size)
    weights: Node | None = None
    for step, weight in ((0.0, 1.0 - part), (1.0, part))[: order + 1]:
        position = floor + step
        # In "constant" mode positions beyond the edges match no column.
        position = position if mode == "constant" else _inside(position, size, mode)
        is_neighbor = p.eq(p.broadcast(position, grid, (0, 1)), p.iota(position.dtype, grid, 2))
        weight_of_step = ones_like(weight) if order == 0 else weight
        entry = p.select(
            is_neighbor, p.broadcast(weight_of_step, grid, (0, 1)), full(0, TensorType(grid, position.dtype))
        )
        weights = entry if weights is None else weights + entry
    assert weights is not None
    weights = p.convert(weights, node.dtype)
    result = p.dot_general(weights, node, batch=((0,), (0,)), contract=((2,), (2,)))
    result = p.transpose(result, (0, 2, 1, 3))
    if mode != "constant":
        return result
    beyond = 1.0 - p.reduce_sum(weights, (2,))
    uncovered = p.broadcast(beyond, result.shape, (0, 2))
    return result + uncovered * p.broadcast(cast_node(fill_value, node.dtype), result.shape, ())


def in_float(node: Node, work: Callable[[Node], Node]) -> Node:
    """Apply `work` to floats; integer images are rounded back."""
    if is_float(node.dtype):
        return work(node)
    return p.convert(p.round_even(work(p.convert(node, "float32"))), node.dtype)


@operation
def map_coordinates(
    inputs: TensorLike,
    coordinates: TensorLike,
    order: int,
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Tensor:
    """Sample a tensor at coordinates that may lie between its elements.

    Args:
        inputs: Tensor of any number of axes.
        coordinates: Tensor (axes of `inputs`, ...).
        order: 0 for the nearest element, 1 for linear interpolation.
        fill_mode: Values beyond the edges: "constant" (`fill_value`), "nearest", "wrap", "mirror" (about the
            edge elements) or "reflect" (about the edges).
        fill_value: Number beyond the edges in "constant" mode.

    Returns:
        Tensor of shape coordinates.shape[1:], in the dtype of `inputs`.

    Raises:
        ShapeError: If the first size of `coordinates` is not the number of axes.

    Example:
        >>> float(hornbeam.ops.image.map_coordinates([1.0, 3.0], [0.5], 1))
        2.0
    """
    node = node_of(inputs)
    positions = cast_node(coordinates, "float64" if node.dtype == "float64" else "float32")
    if not positions.rank or positions.shape[0] != node.rank:
        raise ShapeError(
            "map_coordinates: the first size of `coordinates` must be the same as the rank of `inputs`, got "
            f"{positions.shape} for {node.shape}"
        )
    rest = positions.shape[1:]
    rows = [
        p.reshape(p.slice_(positions, (i, *(0,) * len(rest)), (i + 1, *rest)), rest) for i in range(node.rank)
    ]
    return Tensor(in_float(node, lambda x: sampled(x, rows, order, fill_mode, fill_value)))


# -- transforms of images ------------------------------------------------------------------------------------


def order_of(interpolation: str) -> int:
    orders = {"nearest": 0, "bilinear": 1}
    if interpolation not in orders:
        raise ValueError(f'interpolation must be "nearest" or "bilinear", got {interpolation!r}')
    return orders[interpolation]


def _projected(node: Node, matrix: Node, order: int, mode: str, fill_value: TensorLike) -> Node:
    """Sample images (n, h, w, c) at ((a x + b y + c) / k, (d x + e y + f) / k), k = g x + h y + 1.

    `matrix` has shape (n, 8).
    """
    grid = node.shape[:3]
    y, x = p.iota("float32", grid, 1), p.iota("float32", grid, 2)

    def entry(i: int) -> Node:
        column = p.slice_(matrix, (0, i), (grid[0], i + 1))
        return p.broadcast(p.reshape(column, (grid[0],)), grid, (0,))

    a, b, c, d, e, f, g, h = (entry(i) for i in range(8))
    k = g * x + h * y + 1.0
    positions = [(d * x + e * y + f) / k, (a * x + b * y + c) / k]
    return in_float(node, lambda n: sampled(n, positions, order, mode, fill_value, batch_dims=1))


@operation
def affine_transform(
    images: TensorLike,
    transform: TensorLike,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Apply an affine map: pixel (x, y) is read at (a0 x + a1 y + a2, b0 x + b1 y + b2) of the images.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        transform: Tensor [a0, a1, a2, b0, b1, b2, 0, 0], one (8,) or one for each image (n, 8).
        interpolation: "nearest" or "bilinear".
        fill_mode: Values beyond the edges: "constant" (`fill_value`), "nearest", "wrap", "mirror" (about the
            edge elements) or "reflect" (about the edges).
        fill_value: Number beyond the edges in "constant" mode.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, in the dtype of `images`.

    Raises:
        ShapeError: If `transform` has another shape.
    """
    node, restore = image_batch(images, data_format, "affine_transform")
    matrix = cast_node(transform, "float32")
    if matrix.shape[-1:] != (8,) or matrix.rank > 2:
        raise ShapeError(
            "affine_transform: Invalid transform rank: expected rank 1 (8 numbers) or 2 (8 for each image), "
            f"got shape {matrix.shape}"
        )
    matrix = broadcast_node(matrix, (node.shape[0], 8))
    # The last two numbers belong to projective maps; an affine transform ignores them.
    keep = p.broadcast(p.constant([1, 1, 1, 1, 1, 1, 0, 0], "float32"), matrix.shape, (1,))
    return restore(_projected(node, matrix * keep, order_of(interpolation), fill_mode, fill_value))


@operation
def perspective_transform(
    images: TensorLike,
    start_points: TensorLike,
    end_points: TensorLike,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Apply the perspective map that takes four points to four other points.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        start_points: Tensor (4, 2) or (n, 4, 2) of (x, y) in pixels.
        end_points: Tensor of the shape of `start_points`.
        interpolation: "nearest" or "bilinear".
        fill_value: Number beyond the edges.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, in the dtype of `images`.

    Raises:
        ShapeError: If the points have another shape.
    """
    node, restore = image_batch(images, data_format, "perspective_transform")
    starts, ends = (cast_node(x, "float32") for x in (start_points, end_points))
    for name, points in (("start_points", starts), ("end_points", ends)):
        if points.shape[-2:] != (4, 2) or points.rank > 3:
            raise ShapeError(
                f"perspective_transform: Invalid {name} shape: expected (4, 2) or (n, 4, 2), "
                f"got {points.shape}"
            )
    starts, ends = (broadcast_node(x, (node.shape[0], 4, 2)) for x in (starts, ends))
    # Pixels of the result are sampled from the source, so the map is inverted.
    matrix = homography(Tensor(ends), Tensor(starts)).node
    return restore(_projected(node, matrix, order_of(interpolation), "constant", fill_value))


def homography(points: TensorLike, images: TensorLike) -> Tensor:
    """Return the numbers (n, 8) of the projective map of four `points` (n, 4, 2) of (x, y) to `images`.

    It is (x, y) -> ((a x + b y + c) / k, (d x + e y + f) / k) with k = g x + h y + 1.
    """

    from_points, to_points = cast_node(points, "float32"), cast_node(images, "float32")
    count = from_points.shape[0]

    def coordinate(of: Node, i: int) -> Node:
        return p.slice_(of, (0, 0, i), (count, 4, i + 1))

    # Eight equations with eight unknowns.
    x, y = coordinate(from_points, 0), coordinate(from_points, 1)
    u, v = coordinate(to_points, 0), coordinate(to_points, 1)
    one, zero = ones_like(x), zeros_like(x)
    upper = p.concatenate(x, y, one, zero, zero, zero, -(x * u), -(y * u), axis=2)
    lower = p.concatenate(zero, zero, zero, x, y, one, -(x * v), -(y * v), axis=2)
    matrix = solve(Tensor(p.concatenate(upper, lower, axis=1)), Tensor(p.concatenate(u, v, axis=1)))
    return Tensor(p.reshape(matrix.node, (count, 8)))
