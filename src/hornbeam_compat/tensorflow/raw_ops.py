"""`tf.raw_ops`: operations under the names of TensorFlow's runtime, which take keywords alone."""

from __future__ import annotations

from typing import SupportsFloat

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.tensors import sizes_of
from hornbeam_compat.tensorflow.typing import ShapeLike, TensorLike

__all__ = ["ImageProjectiveTransformV2", "ImageProjectiveTransformV3"]


def ImageProjectiveTransformV3(
    *, images: TensorLike, transforms: TensorLike, output_shape: ShapeLike, fill_value: SupportsFloat = 0.0,
    interpolation: str, fill_mode: str = "CONSTANT", name: str | None = None,
) -> Tensor:  # fmt: skip
    """Read pixel (x, y) at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.

    Args:
        images: Tensor (n, height, width, channels).
        transforms: Tensor [a0, a1, a2, b0, b1, b2, c0, c1], one for all images or one for each.
        output_shape: Height and width of the result, those of the images.
        fill_value: Value beyond the edges in mode "CONSTANT".
        interpolation: "NEAREST" or "BILINEAR".
        fill_mode: "CONSTANT", "NEAREST", "REFLECT" or "WRAP".
        name: Ignored.

    Raises:
        NotImplementedError: If the result has another size than the images, or c0 or c1 is not 0.
    """
    batch, matrices = as_tensor(images), as_tensor(transforms)
    size = sizes_of(output_shape)
    if size != tuple(batch.shape[1:3]):
        raise NotImplementedError(f"output_shape must be {tuple(batch.shape[1:3])}, got {size}")
    if not matrices.node.level and np.asarray(matrices)[..., 6:].any():
        raise NotImplementedError("projective transforms are not supported: c0 and c1 must be 0")
    moved = ops.image.affine_transform(
        ops.cast(batch, "float32"),
        matrices[0] if matrices.shape[0] == 1 and len(matrices.shape) == 2 else matrices,
        interpolation.lower(),
        fill_mode.lower(),
        fill_value=float(fill_value),
        data_format="channels_last",
    )
    return ops.cast(moved, batch.dtype)


ImageProjectiveTransformV2 = ImageProjectiveTransformV3
