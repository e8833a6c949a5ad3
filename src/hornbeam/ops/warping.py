"""Images read at computed places: coordinates, affine, perspective and elastic transforms."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from hornbeam import primitives as p
from hornbeam.ir.graph import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.ops._common import image_batch, node_of
from hornbeam.tensor import Tensor, broadcast_node, cast_node, operation

__all__ = ["affine_transform", "map_coordinates", "perspective_transform"]

_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _modulo(x: Node, size: float) -> Node:
    return x - p.floor(x / size) * size


def _inside(places: Node, size: int, mode: str) -> Node:
    """Whole-numbered places (floats) folded into 0 ... size - 1 as the fill mode says."""
    last = full(size - 1, places.type)
    zero = zeros_like(places)
    if mode == "wrap":
        return _modulo(places, float(size))
    if mode == "mirror":  # about the centres of the edge pixels
        if size == 1:
            return zero
        period = 2.0 * (size - 1)
        turned = _modulo(places, period)
        return p.minimum(turned, period - turned)
    if mode == "reflect":  # about the edges
        turned = _modulo(places, 2.0 * size)
        return p.minimum(turned, (2.0 * size - 1.0) - turned)
    return p.minimum(p.maximum(places, zero), last)


def _read(node: Node, places: list[Node], mode: str, fill: Node, batch_dims: int) -> Node:
    """Values of the axes after `batch_dims` at whole-numbered places; `fill` beyond them in "constant"
    mode."""
    sizes = node.shape[batch_dims : batch_dims + len(places)]
    index = [p.convert(_inside(c, n, mode), "int32") for c, n in zip(places, sizes, strict=True)]
    shape = index[0].shape
    found = p.gather(
        node, p.concatenate(*(p.reshape(i, (*shape, 1)) for i in index), axis=len(shape)), batch_dims
    )
    if mode != "constant":
        return found
    valid: Node | None = None
    for place, size in zip(places, sizes, strict=True):
        here = p.bit_and(p.ge(place, zeros_like(place)), p.le(place, full(size - 1, place.type)))
        valid = here if valid is None else p.bit_and(valid, here)
    assert valid is not None
    valid = p.broadcast(valid, found.shape, tuple(range(len(shape))))
    return p.select(valid, found, p.broadcast(fill, found.shape, ()))


def sampled(
    node: Node, places: list[Node], order: int, mode: str, fill_value: Any, batch_dims: int = 0
) -> Node:
    """A float tensor read at fractional places along the axes after `batch_dims`.

    order 0 takes the nearest pixel, order 1 weighs the pixels around.
    """
    if order not in (0, 1):
        raise ValueError(f"order must be 0 (nearest) or 1 (linear), got {order!r}")
    if mode not in _FILL_MODES:
        raise ValueError(f"fill_mode must be one of {', '.join(_FILL_MODES)}, got {mode!r}")
    fill = cast_node(fill_value, node.dtype)
    if order == 0:
        return _read(node, [p.round_even(c) for c in places], mode, fill, batch_dims)
    floors = [p.floor(c) for c in places]
    total: Node | None = None
    for corner in itertools.product((0, 1), repeat=len(places)):
        at = [f + float(step) for f, step in zip(floors, corner, strict=True)]
        value = _read(node, at, mode, fill, batch_dims)
        for place, floor, step in zip(places, floors, corner, strict=True):
            part = place - floor
            weight = p.convert(part if step else 1.0 - part, node.dtype)
            value = value * p.broadcast(weight, value.shape, tuple(range(weight.rank)))
        total = value if total is None else total + value
    assert total is not None
    return total


def in_float(node: Node, work: Callable[[Node], Node]) -> Node:
    """`work` on floats; integer images are rounded back."""
    if is_float(node.dtype):
        return work(node)
    return p.convert(p.round_even(work(p.convert(node, "float32"))), node.dtype)


@operation
def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: Any = 0
) -> Tensor:
    """`inputs` read at `coordinates` (axes, ...), which may lie between elements: shape
    coordinates.shape[1:].

    order: 0 for the nearest element, 1 for linear weights. fill_mode: what lies beyond the edges: "constant"
    (`fill_value`), "nearest", "wrap", "mirror" (about the edge elements) or "reflect" (about the edges).

    >>> float(hornbeam.ops.image.map_coordinates([1.0, 3.0], [0.5], 1))
    2.0
    """
    node = node_of(inputs)
    places = cast_node(coordinates, "float64" if node.dtype == "float64" else "float32")
    if not places.rank or places.shape[0] != node.rank:
        raise ShapeError(
            f"map_coordinates: {places.shape} must begin with the number of axes of {node.shape}"
        )
    rest = places.shape[1:]
    rows = [
        p.reshape(p.slice_(places, (i, *(0,) * len(rest)), (i + 1, *rest)), rest) for i in range(node.rank)
    ]
    return Tensor(in_float(node, lambda x: sampled(x, rows, order, fill_mode, fill_value)))


# -- transforms of images ------------------------------------------------------------------------------------


def order_of(interpolation: str) -> int:
    orders = {"nearest": 0, "bilinear": 1}
    if interpolation not in orders:
        raise ValueError(f'interpolation must be "nearest" or "bilinear", got {interpolation!r}')
    return orders[interpolation]


def _projected(node: Node, matrix: Node, order: int, mode: str, fill_value: Any) -> Node:
    """Images (n, h, w, c) read at ((a x + b y + c) / k, (d x + e y + f) / k), k = g x + h y + 1, matrix (n,
    8)."""
    grid = node.shape[:3]
    y, x = p.iota("float32", grid, 1), p.iota("float32", grid, 2)

    def entry(i: int) -> Node:
        column = p.slice_(matrix, (0, i), (grid[0], i + 1))
        return p.broadcast(p.reshape(column, (grid[0],)), grid, (0,))

    a, b, c, d, e, f, g, h = (entry(i) for i in range(8))
    k = g * x + h * y + 1.0
    places = [(d * x + e * y + f) / k, (a * x + b * y + c) / k]
    return in_float(node, lambda n: sampled(n, places, order, mode, fill_value, batch_dims=1))


@operation
def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixel (x, y) is read at (a0 x + a1 y + a2, b0 x + b1 y + b2) of the given ones.

    transform: [a0, a1, a2, b0, b1, b2, 0, 0], one or one per image. interpolation: "nearest" or "bilinear".
    fill_mode, fill_value: what lies beyond the edges, see `map_coordinates`.
    """
    node, restore = image_batch(images, data_format, "affine_transform")
    matrix = cast_node(transform, "float32")
    if matrix.shape[-1:] != (8,) or matrix.rank > 2:
        raise ShapeError(f"affine_transform: transform must have shape (8,) or (n, 8), got {matrix.shape}")
    matrix = broadcast_node(matrix, (node.shape[0], 8))
    # The last two numbers would make it projective; an affine transform ignores them.
    keep = p.broadcast(p.constant([1, 1, 1, 1, 1, 1, 0, 0], "float32"), matrix.shape, (1,))
    return restore(_projected(node, matrix * keep, order_of(interpolation), fill_mode, fill_value))


@operation
def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: Any = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images turned in perspective so that the four `start_points` come to lie on the four `end_points`.

    The points are (4, 2) or (n, 4, 2) of (x, y) in pixels.
    """
    node, restore = image_batch(images, data_format, "perspective_transform")
    starts, ends = (cast_node(x, "float32") for x in (start_points, end_points))
    for points in (starts, ends):
        if points.shape[-2:] != (4, 2) or points.rank > 3:
            raise ShapeError(
                f"perspective_transform: points must have shape (4, 2) or (n, 4, 2), got {points.shape}"
            )
    starts, ends = (broadcast_node(x, (node.shape[0], 4, 2)) for x in (starts, ends))
    # Pixels of the result are read from the source.
    matrix = homography(Tensor(ends), Tensor(starts)).node
    return restore(_projected(node, matrix, order_of(interpolation), "constant", fill_value))


def homography(points: Any, images: Any) -> Tensor:
    """The numbers (n, 8) of the projective map that takes four `points` (n, 4, 2) of (x, y) to `images`.

    It is (x, y) -> ((a x + b y + c) / k, (d x + e y + f) / k) with k = g x + h y + 1.
    """
    from hornbeam.ops.linalg import solve

    from_points, to_points = cast_node(points, "float32"), cast_node(images, "float32")
    count = from_points.shape[0]

    def coordinate(of: Node, i: int) -> Node:
        return p.slice_(of, (0, 0, i), (count, 4, i + 1))

    # Eight equations for eight numbers.
    x, y = coordinate(from_points, 0), coordinate(from_points, 1)
    u, v = coordinate(to_points, 0), coordinate(to_points, 1)
    one, zero = ones_like(x), zeros_like(x)
    upper = p.concatenate(x, y, one, zero, zero, zero, -(x * u), -(y * u), axis=2)
    lower = p.concatenate(zero, zero, zero, x, y, one, -(x * v), -(y * v), axis=2)
    matrix = solve(Tensor(p.concatenate(upper, lower, axis=1)), Tensor(p.concatenate(u, v, axis=1)))
    return Tensor(p.reshape(matrix.node, (count, 8)))
