"""Layers of models for tables: decision trees, and a piecewise linear encoding of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import layers, ops
from hornbeam._internal.typing import ShapeLike
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor

__all__ = ["PiecewiseLinearEncoding", "TreeEnsemble"]

# A tree of more levels is refused: each level costs a pass over all rows.
MAX_DEPTH = 256


@exported("hornbeam.auto")
class TreeEnsemble(layers.Layer):
    """Sum of decision trees, evaluated level by level, all trees at once.

    y = sum over trees of `scores[leaf(x)]`, for x of shape (batch, features) and y of (batch, units). At a
    node the left child is taken if `x[feature] <= threshold`, or for a set of categories if `x[feature]` is
    in the set; a leaf is its own child. There are no gradients to the trees: boosting makes them, and
    `hornbeam.auto` copies them here.

    Weights, none trainable: `roots` (trees,); `feature`, `threshold`, `left`, `right`, `category_set`, of
    each node, whose set is -1 if it has none; `scores` (nodes, units); `sets` (number of sets, categories).

    Args:
        trees: Number of trees.
        nodes: Number of nodes of all trees, leaves included.
        units: Number of outputs.
        depth: Number of levels below the roots, at most 256.
        sets: Number of sets of categories.
        categories: Largest number of a category plus 1; larger ones are in no set.
        **kwargs: Arguments of every layer, such as `name`.

    Example:
        >>> layer = hornbeam.auto.TreeEnsemble(trees=10, nodes=310, units=1, depth=8)
        >>> layer.compute_output_shape((None, 4))
        (None, 1)
    """

    def __init__(
        self,
        trees: int,
        nodes: int,
        units: int,
        depth: int,
        sets: int = 0,
        categories: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.trees, self.nodes = check_int("trees", trees, 1), check_int("nodes", nodes, 1)
        self.units, self.depth = check_int("units", units, 1), check_int("depth", depth, 0)
        self.sets, self.categories = check_int("sets", sets, 0), check_int("categories", categories, 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"depth must be at most {MAX_DEPTH}, got {depth}")

    def build(self, input_shape: ShapeLike) -> None:
        def add(name: str, shape: tuple[int, ...], dtype: str = "int32") -> Any:
            return self.add_weight(shape, "zeros", dtype, trainable=False, name=name)

        self.roots = add("roots", (self.trees,))
        self.feature, self.left, self.right, self.category_set = (
            add(name, (self.nodes,)) for name in ("feature", "left", "right", "category_set")
        )
        self.threshold = add("threshold", (self.nodes,), "float32")
        self.scores = add("scores", (self.nodes, self.units), "float32")
        self.members = add("sets", (max(self.sets, 1), max(self.categories, 1)), "int32")

    def call(self, x: Tensor) -> Tensor:
        at = ops.zeros_like(x[:, :1], "int32") + self.roots
        width = max(self.categories, 1)
        for _ in range(self.depth):
            value = ops.take_along_axis(x, ops.take(self.feature, at), axis=1)
            is_left = value <= ops.take(self.threshold, at)
            if self.sets:
                number = ops.take(self.category_set, at)
                code = ops.cast(ops.minimum(ops.maximum(value, 0), width - 1), "int32")
                cell = ops.maximum(number, 0) * width + code
                in_set = ops.take(ops.reshape(self.members, (-1,)), cell) > 0
                in_set = ops.logical_and(in_set, value < width)
                is_left = ops.where(number >= 0, in_set, is_left)
            at = ops.where(is_left, ops.take(self.left, at), ops.take(self.right, at))
        return ops.sum(ops.take(self.scores, at, axis=0), axis=1)

    def compute_output_shape(self, input_shape: ShapeLike) -> tuple[int | None, ...]:
        return (next(iter(input_shape)), self.units)

    def get_config(self) -> dict[str, Any]:
        names = ("trees", "nodes", "units", "depth", "sets", "categories")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@exported("hornbeam.auto")
class PiecewiseLinearEncoding(layers.Layer):
    """Each number as its place in bins: y[i, b] = clip((x[i] - low[b]) / (high[b] - low[b]), 0, 1).

    Of a number in bin b the bins before have 1, those behind 0 (Gorishniy et al. 2022, "On embeddings for
    numerical features in tabular deep learning"). The first and the last bin go on outside of [0, 1], at most
    to `limit` widths of the bin. x has the shape (batch, features), y (batch, features, bins).

    Weights, not trainable: `low` and `rate`, 1 / (high - low), (features, bins), which `set_edges` sets.

    Args:
        bins: Number of bins.
        limit: Furthest a number beyond the edges is told.
        **kwargs: Arguments of every layer, such as `name`.

    Example:
        >>> layer = hornbeam.auto.PiecewiseLinearEncoding(2)
        >>> layer.build((None, 1))
        >>> layer.set_edges(np.array([[0.0, 1.0, 3.0]]))
        >>> layer(np.array([[2.0]], "float32")).numpy().tolist()
        [[[1.0, 0.5]]]
    """

    def __init__(self, bins: int, limit: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.limit = check_int("bins", bins, 1), limit

    def build(self, input_shape: ShapeLike) -> None:
        shape = (tuple(input_shape)[-1], self.bins)
        self.low = self.add_weight(shape, "zeros", trainable=False, name="low")
        self.rate = self.add_weight(shape, "ones", trainable=False, name="rate")

    def set_edges(self, edges: np.ndarray) -> None:
        """Set the edges of the bins.

        Args:
            edges: Ascending numbers, (features, bins + 1). A bin without width is a step.
        """
        low, high = edges[:, :-1].astype("float32"), edges[:, 1:].astype("float32")
        width = np.maximum(high - low, np.maximum(np.abs(high), 1e-6) * 1e-6)
        self.low.assign(low)
        self.rate.assign(1 / width)

    def call(self, x: Tensor) -> Tensor:
        floor, ceiling = np.zeros(self.bins, "float32"), np.ones(self.bins, "float32")
        floor[0], ceiling[-1] = 1 - self.limit, self.limit
        return ops.minimum(ops.maximum((ops.expand_dims(x, -1) - self.low) * self.rate, floor), ceiling)

    def compute_output_shape(self, input_shape: ShapeLike) -> tuple[int | None, ...]:
        return (*tuple(input_shape), self.bins)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins, "limit": self.limit}
