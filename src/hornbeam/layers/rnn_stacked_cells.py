"""StackedRNNCells, and functions that run any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops, tree
from hornbeam._internal.typing import PartialShape, Shape, ShapeTree, Tree
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.layers.layer import Layer
from hornbeam.layers.options import RegularizedLayerOptions


@exported("keras.layers")
class StackedRNNCells(Layer):
    """Stack of cells as one cell: the output of each is the input of the next.

    Args:
        cells: List of cells.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an item has no `call` or no `state_size`.

    Example:
        >>> cell = hornbeam.layers.StackedRNNCells([hornbeam.layers.LSTMCell(4), hornbeam.layers.LSTMCell(5)])
        >>> hornbeam.layers.RNN(cell)(np.ones((2, 3, 6))).shape
        (2, 5)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(cell)
        if not cells:
            raise ValueError("StackedRNNCells needs at least one cell")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """State sizes of the cells."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int | Sequence[int]:
        """Size of the output of the last cell."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: PartialShape) -> None:
        step_shape: ShapeTree = input_shape
        for cell in self.cells:
            build_cell(cell, step_shape)
            step_shape = (step_shape[0], output_size_of(cell))

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return the initial states of the cells.

        Args:
            batch_size: Number of samples.
        """
        states = [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]
        return [
            state[0] if is_single(cell) and isinstance(state, (list, tuple)) else state
            for cell, state in zip(self.cells, states, strict=True)
        ]

    def call(self, inputs: Tensor, states: Tree, training: bool = False) -> Tree:
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            is_list = isinstance(state, (list, tuple))
            inputs, new_state = run_cell(cell, inputs, state if is_list else [state], training)
            new.append(new_state if is_list else new_state[0])
        return inputs, new

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StackedRNNCells:
        config = dict(config)
        cells = [deserialize(cell) if isinstance(cell, dict) else cell for cell in config.pop("cells")]
        return cls(cells, **config)


def check_cell(cell: Any) -> None:
    """Raise ValueError unless `cell` can be run by an RNN."""
    if not callable(getattr(cell, "call", None)) or not hasattr(cell, "state_size"):
        raise ValueError(f"a cell needs call(inputs, states) and state_size, got {cell!r}")


def output_size_of(cell: Any) -> int | Sequence[int]:
    """Return the number of features in a cell's output."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def is_single(cell: Any) -> bool:
    """Return True for a cell with one state, which is no list of them."""
    return isinstance(cell.state_size, int)


def initial_state_of(cell: Any, batch_size: Any, dtype: str) -> Tree:
    """Return the initial state that the cell defines, or zeros of its state size."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    sizes = [cell.state_size] if is_single(cell) else cell.state_size
    return [
        ops.zeros((batch_size, *((size,) if isinstance(size, int) else size)), dtype=dtype) for size in sizes
    ]


def build_cell(cell: Any, step_shape: Shape) -> None:
    """Build a cell for steps of `step_shape`; a cell of layers is called on symbolic tensors."""
    if not isinstance(cell, Layer) or cell.built:
        return
    if type(cell).build is not Layer.build:
        cell.build(step_shape)
        return
    states = initial_state_of(cell, 1, cell.compute_dtype)
    cell._build_sublayers(step_shape, tree.map_structure(lambda x: (step_shape[0], *x.shape[1:]), states))


def run_cell(cell: Any, inputs: Tensor, states: Tree, training: bool | None) -> tuple[Tensor, list[Tensor]]:
    """Run one step of any cell. Return its output and the list of its new states."""
    output, new = (
        cell(inputs, states, training=training) if isinstance(cell, Layer) else cell.call(inputs, states)
    )
    return output, list(new) if isinstance(new, (list, tuple)) else [new]
