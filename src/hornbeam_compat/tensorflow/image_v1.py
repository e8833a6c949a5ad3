"""tf.compat.v1.image.resize, which samples other positions than tf.image.resize."""

from __future__ import annotations

import functools

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.tensors import sizes_of
from hornbeam_compat.tensorflow.typing import ShapeLike, TensorLike

__all__ = ["resize", "resize_bilinear", "resize_images", "resize_nearest_neighbor"]
# Names and numbers of methods -> name.
_METHODS: dict[str | int, str] = {
    0: "bilinear", 1: "nearest", "bilinear": "bilinear", "nearest": "nearest",
}  # fmt: skip


def resize(
    images: TensorLike, size: ShapeLike, method: str | int = "bilinear", align_corners: bool = False,
    preserve_aspect_ratio: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Resize as TensorFlow 1: the first pixels coincide, with `align_corners` the last ones, too.

    Raises:
        ValueError: For other methods than "bilinear" and "nearest", and other than the given size.
    """
    kind = _METHODS.get(method)
    if kind is None or preserve_aspect_ratio:
        raise ValueError(f"tf.compat.v1.image.resize: method must be bilinear or nearest, got {method!r}")
    pixels, weights = as_tensor(images), []
    for count, size_before in zip(sizes_of(size), pixels.shape[-3:-1], strict=True):
        aligned = align_corners and count > 1
        at = np.arange(count) * ((size_before - 1) / (count - 1) if aligned else size_before / count)
        if kind == "nearest":
            at = np.floor(at + 0.5) if align_corners else np.floor(at)
        distance = np.abs(np.minimum(at, size_before - 1)[:, None] - np.arange(size_before))
        weights.append(np.maximum(1 - distance, 0).astype("float32"))
    resized = ops.einsum("ih,...hwc,jw->...ijc", weights[0], ops.cast(pixels, "float32"), weights[1])
    return ops.cast(resized, pixels.dtype) if kind == "nearest" else resized


resize_bilinear = functools.partial(resize, method="bilinear")
resize_nearest_neighbor = functools.partial(resize, method="nearest")
resize_images = resize
