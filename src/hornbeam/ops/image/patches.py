"""Patches of images and volumes."""

from __future__ import annotations

from typing import Any

from hornbeam import primitives as p
from hornbeam.config import standard_data_format
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import image_batch, node_of
from hornbeam.ops.convolution import padding_of, sizes_of
from hornbeam.ops.rearranging import shifted_slices


def _patches(node: Node, size: Any, strides: Any, dilation: Any, padding: str, rank: int) -> Node:
    window = sizes_of(size, rank, "size")
    steps = window if strides is None else sizes_of(strides, rank, "strides")
    rate = sizes_of(dilation, rank, "dilation_rate")
    pads = padding_of(padding, node.shape[1:-1], window, steps, rate)
    node = p.pad(node, 0, (0, *(a for a, _ in pads), 0), (0, *(b for _, b in pads), 0))
    counts = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(node.shape[1:-1], window, steps, rate, strict=True)
    )
    if min(counts) < 1:
        raise ShapeError(f"patches of {window} do not fit into images of {node.shape[1:-1]}")
    return p.concatenate(*shifted_slices(node, window, steps, rate, counts), axis=node.rank - 1)


@operation
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Windows of images as channels: (n, rows, columns, height * width * channels). strides: `size` unless
    given.

    >>> hornbeam.ops.image.extract_patches(hornbeam.ops.ones((1, 4, 4, 3)), 2).shape
    (1, 2, 2, 12)
    """
    node, restore = image_batch(images, data_format, "extract_patches")
    return restore(_patches(node, size, strides, dilation_rate, padding, 2))


@operation
def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Windows of volumes (n, d, h, w, c) as channels, as `extract_patches` does for images."""
    node = node_of(volumes)
    if node.rank not in (4, 5):
        raise ShapeError(
            f"extract_patches_3d needs a volume (four axes) or a batch (five), got shape {node.shape}"
        )
    single, first = node.rank == 4, standard_data_format(data_format) == "channels_first"
    batch = p.reshape(node, (1, *node.shape)) if single else node
    batch = p.transpose(batch, (0, 2, 3, 4, 1)) if first else batch
    made = _patches(batch, size, strides, dilation_rate, padding, 3)
    made = p.transpose(made, (0, 4, 1, 2, 3)) if first else made
    return Tensor(p.reshape(made, made.shape[1:]) if single else made)
