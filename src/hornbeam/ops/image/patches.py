"""Patches of images and volumes."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import primitives as p
from hornbeam._internal.typing import Sizes
from hornbeam.config import standard_data_format
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import image_batch, node_of
from hornbeam.ops.convolution import padding_of, sizes_of
from hornbeam.ops.rearranging import shifted_slices


def _patches(
    node: Node, size: Sizes, strides: Sizes | None, dilation: Sizes, padding: str, rank: int
) -> Node:
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
    images: TensorLike,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Extract patches of images as channels; of volumes if `size` is three integers.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first. For volumes
            see `extract_patches_3d`.
        size: Integer or pair of integers, height and width of the patches, or triple for volumes.
        strides: Integer or pair of integers, the distance of patches; None for `size`.
        dilation_rate: Integer or pair of integers, the distance of pixels in a patch.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (n, rows, columns, height * width * channels), or channels first.

    Raises:
        ShapeError: If a patch is larger than the images.

    Example:
        >>> hornbeam.ops.image.extract_patches(hornbeam.ops.ones((1, 4, 4, 3)), 2).shape
        (1, 2, 2, 12)
    """
    if isinstance(size, (tuple, list)) and len(size) == 3:
        return extract_patches_3d(images, size, strides, dilation_rate, padding, data_format)
    node, restore = image_batch(images, data_format, "extract_patches")
    return restore(_patches(node, size, strides, dilation_rate, padding, 2))


@operation
def extract_patches_3d(
    volumes: TensorLike,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Extract patches of volumes as channels, as `extract_patches` does for images.

    Args:
        volumes: Tensor (n, depth, height, width, channels), one volume of four axes, or channels first.
        size: Integer or triple of integers, the size of the patches.
        strides: Integer or triple of integers, the distance of patches; None for `size`.
        dilation_rate: Integer or triple of integers, the distance of voxels in a patch.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (n, *positions, size of a patch * channels), or channels first.

    Raises:
        TypeError: If `size` is neither an integer nor three.
        ShapeError: If a patch is larger than the volumes.
    """
    if isinstance(size, (tuple, list)) and len(size) != 3:
        raise TypeError(f"extract_patches_3d: size must be an integer or 3 of them, got {size}")
    node = node_of(volumes)
    if node.rank not in (4, 5):
        raise ShapeError(
            f"extract_patches_3d needs a volume (four axes) or a batch (five), got shape {node.shape}"
        )
    single, first = node.rank == 4, standard_data_format(data_format) == "channels_first"
    batch = p.reshape(node, (1, *node.shape)) if single else node
    batch = p.transpose(batch, (0, 2, 3, 4, 1)) if first else batch
    patches = _patches(batch, size, strides, dilation_rate, padding, 3)
    patches = p.transpose(patches, (0, 4, 1, 2, 3)) if first else patches
    return Tensor(p.reshape(patches, patches.shape[1:]) if single else patches)
