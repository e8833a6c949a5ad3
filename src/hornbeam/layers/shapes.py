"""Shapes of a layer's inputs, in the structure of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.typing import ShapeTree, Tree
from hornbeam.core.symbolic import KerasTensor

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


class BuildShapes:
    """Shapes that a layer was built with; not a dict, so that attribute tracking does not search it."""

    def __init__(self, shapes: Mapping[str, Any]) -> None:
        self.shapes = dict(shapes)


def is_shape(x: object) -> bool:
    """True for a tuple or list of sizes, some of which may be None."""
    return isinstance(x, (list, tuple)) and all(
        size is None or isinstance(size, (int, np.integer)) for size in x
    )


def symbolic_tensors(shapes: ShapeTree, dtype: str) -> Tree:
    """Replace every shape in a structure by a symbolic tensor. A tuple () is the shape of a number."""
    if is_shape(shapes) and (len(shapes) or isinstance(shapes, tuple)):
        return KerasTensor(shapes, dtype)
    if isinstance(shapes, dict):
        return {key: symbolic_tensors(value, dtype) for key, value in shapes.items()}
    if isinstance(shapes, (list, tuple)):
        return type(shapes)(symbolic_tensors(value, dtype) for value in shapes)
    return shapes


def shapes_from_json(structure: ShapeTree) -> Tree:
    """Turn lists of sizes into tuples."""
    if is_shape(structure):
        return tuple(structure)
    if isinstance(structure, dict):
        return {key: shapes_from_json(value) for key, value in structure.items()}
    return [shapes_from_json(value) for value in structure] if isinstance(structure, list) else structure


def build_shapes(layer: Layer) -> dict[str, Any]:
    """Return the shapes that a layer was built with, by argument; none for one that is not built."""
    return {} if layer._build_shapes is None else layer._build_shapes.shapes
