"""Random maps of images that bend straight lines or parallels: perspective, elastic."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops, random
from hornbeam._internal.validation import check_choice
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.augmentation import bounding_boxes as boxes_of
from hornbeam.layers.augmentation.base import (
    Boxes,
    GeometryLayer,
    Size,
    Transformation,
    chosen,
    factor_range,
    per_image,
    value_range_of,
)
from hornbeam.layers.augmentation.geometry import INTERPOLATIONS
from hornbeam.ops.image.elastic import deformed
from hornbeam.ops.image.warping import homography, order_of
from hornbeam.random import draw_seed

_FILL_MODES = ("reflect", "wrap", "constant", "nearest", "mirror")


@exported("keras.layers")
class RandomPerspective(GeometryLayer):
    """In training, shows some of the images as if seen from aside: corners are moved by parts of their place.

    factor: the probability, itself drawn for each image between 0 and factor, or between two given bounds in
    [0, 1]. scale: corners (x, y) move by up to scale / 2 of x and of y; in [0, 1]. interpolation: "bilinear"
    or "nearest". fill_value: what lies beyond the edges. Boxes become the upright boxes around theirs.

    Raises ValueError for other values.

    >>> hornbeam.layers.RandomPerspective(scale=0.3)(np.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomPerspective", "factor", factor, 0.0)
        factor_range("RandomPerspective", "scale", scale, 0.0)
        self.scale = scale
        self.interpolation = check_choice(
            "interpolation", interpolation, INTERPOLATIONS, where="RandomPerspective"
        )
        self.fill_value = fill_value

    def _draw(self, size: Size, seed: Any) -> Transformation:
        x, y = size.width - 1, size.height - 1
        corners = np.array([[0, 0], [x, 0], [0, y], [x, y]], np.float32)
        start = ops.broadcast_to(corners, (size.batch, 4, 2))
        moves = random.uniform((size.batch, 4, 2), -0.5 * self.scale, 0.5 * self.scale, seed=seed)
        return {
            "apply_perspective": chosen(self.factor, size.batch, seed),
            "start_points": start,
            "end_points": start + start * moves,
            "input_shape": self._shape(size),
        }

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        made = ops.image.perspective_transform(
            images,
            transformation["start_points"],
            transformation["end_points"],
            interpolation=interpolation,
            fill_value=self.fill_value,
            data_format="channels_last",
        )
        return ops.where(per_image(transformation["apply_perspective"], "bool"), made, images)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        size = self._size(transformation["input_shape"])
        boxes = self._to_xyxy(boxes, size)
        # Images are read from result to source; boxes go from source to result.
        numbers = homography(transformation["start_points"], transformation["end_points"])
        a, b, c, d, e, f, g, h = (ops.reshape(numbers[:, i], (-1, 1, 1)) for i in range(8))

        def move(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            k = g * x + h * y + 1
            return (a * x + b * y + c) / k, (d * x + e * y + f) / k

        turned = ops.reshape(transformation["apply_perspective"], (-1, 1, 1))
        boxes["boxes"] = ops.where(turned, boxes_of.corners_hull(boxes["boxes"], move), boxes["boxes"])
        return self._from_xyxy(boxes, size)


@exported("keras.layers")
class RandomElasticTransform(GeometryLayer):
    """In training, stirs some of the images by smooth random shifts, see `ops.image.elastic_transform`.

    factor: the probability, itself drawn for each image between 0 and factor, or between two given bounds in
    [0, 1]. scale: how strong, s drawn for the batch in the same way: alpha = 0.1 s (longer side), sigma =
    0.05 s (shorter side). interpolation, fill_mode ("mirror" too), fill_value: see `RandomRotation`.
    Simard, Steinkraus & Platt, "Best practices for convolutional neural networks", 2003.

    Raises ValueError for other values, NotImplementedError for bounding boxes, which do not stay boxes.

    >>> hornbeam.layers.RandomElasticTransform(scale=0.5)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        owner = "RandomElasticTransform"
        self.factor = factor_range(owner, "factor", factor, 0.0)
        self.scale = factor_range(owner, "scale", scale, 0.0)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where=owner)
        self.fill_mode = check_choice("fill_mode", fill_mode, _FILL_MODES, where=owner)
        self.fill_value = fill_value
        self.value_range = value_range_of(owner, value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        return {
            "apply_transform": chosen(self.factor, size.batch, seed),
            "distortion_factor": random.uniform((), *self.scale, seed=seed),
            "seed": draw_seed(seed),
        }

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        _, height, width, _ = images.shape
        strength = transformation["distortion_factor"]
        alpha = max(height, width) * 0.1 * strength
        # A deviation of 0 has no bell curve; what it is then does not matter, since alpha is 0 too.
        sigma = ops.maximum(min(height, width) * 0.05 * strength, 1e-3)
        # The window must be known beforehand: it holds three deviations of the strongest distortion.
        window = int(6 * 0.05 * min(height, width) * self.scale[1]) | 1
        order, key = order_of(interpolation), transformation["seed"]
        made = Tensor(
            deformed(images.node, alpha, sigma, window, order, self.fill_mode, self.fill_value, key)
        )
        made = ops.where(per_image(transformation["apply_transform"], "bool"), made, images)
        return ops.clip(made, *self.value_range)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        raise NotImplementedError(f"{self.describe()}: boxes do not stay boxes when images are stirred")
