"""Masks, shapes and symbolic tensors, as Keras's layers use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import KerasTensor, Tensor, tree
from hornbeam.extensions.tensors import as_tensor
from hornbeam.extensions.tracing import compute_output_spec as compute_output_spec

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import TensorLike


def get_keras_mask(x: Any) -> Tensor | None:
    """Return the mask of a tensor, or None.

    Args:
        x: Tensor.
    """
    return getattr(x, "_keras_mask", None)


def set_keras_mask(x: Tensor, mask: Tensor | None) -> None:
    """Give a tensor a mask.

    Args:
        x: Tensor.
        mask: Tensor of bool, or None for no mask.
    """
    x._keras_mask = mask


def any_symbolic_tensors(args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> bool:
    """Return True if arguments, or lists, tuples or dicts among them, have a `KerasTensor`.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """
    return any(isinstance(x, KerasTensor) for x in tree.flatten((args, kwargs)))


def standardize_shape(shape: Sequence[Any] | int) -> tuple[Any, ...]:
    """Return a shape as a tuple of integers and None.

    Args:
        shape: Sequence of sizes, or one size.

    Raises:
        ValueError: If a size is neither None nor an integer of at least 0.
    """
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in sizes:
        if size is not None and not (isinstance(size, (int, np.integer)) and size >= 0):
            raise ValueError(f"a shape has integers of at least 0 and None, got {sizes}")
    return sizes


def convert_to_numpy(x: TensorLike) -> np.ndarray:
    """Return the values of a tensor.

    Args:
        x: Tensor.
    """
    return np.array(as_tensor(x).numpy())
