"""Random maps of images that bend lines or parallels: perspective, elastic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam import ops, random
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_choice
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.layers.augmentation import bounding_boxes as boxes_of
from hornbeam.layers.augmentation.base import (
    Boxes,
    GeometryLayer,
    Size,
    Transformation,
    draw_subset,
    factor_range,
    per_image,
    value_range_of,
)
from hornbeam.layers.augmentation.geometry import INTERPOLATIONS
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.ops.image.elastic import deformed
from hornbeam.ops.image.warping import homography, order_of
from hornbeam.random import draw_seed
from hornbeam.random.keys import SeedLike

_FILL_MODES = ("reflect", "wrap", "constant", "nearest", "mirror")


@exported("keras.layers")
class RandomPerspective(GeometryLayer):
    """Apply a random perspective to random images in training: corners move by fractions of their position.

    Boxes become the axis-aligned boxes around theirs.

    Args:
        factor: Bounds of the probability, drawn for each image, in [0, 1]: a pair, or one number for (0,
            factor).
        scale: Bound of the move of corners (x, y): up to scale / 2 of x and of y; in [0, 1].
        interpolation: "nearest" or "bilinear".
        fill_value: Value beyond the edges.
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.RandomPerspective(scale=0.3)(np.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: float | tuple[float, float] = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomPerspective", "factor", factor, 0.0)
        factor_range("RandomPerspective", "scale", scale, 0.0)
        self.scale = scale
        self.interpolation = check_choice(
            "interpolation", interpolation, INTERPOLATIONS, where="RandomPerspective"
        )
        self.fill_value = fill_value

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        x, y = size.width - 1, size.height - 1
        corners = np.array([[0, 0], [x, 0], [0, y], [x, y]], np.float32)
        start = ops.broadcast_to(corners, (size.batch, 4, 2))
        moves = random.uniform((size.batch, 4, 2), -0.5 * self.scale, 0.5 * self.scale, seed=seed)
        return {
            "apply_perspective": draw_subset(self.factor, size.batch, seed),
            "start_points": start,
            "end_points": start + start * moves,
            "input_shape": self._shape(size),
        }

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        transformed = ops.image.perspective_transform(
            images,
            transformation["start_points"],
            transformation["end_points"],
            interpolation=interpolation,
            fill_value=self.fill_value,
            data_format="channels_last",
        )
        return ops.where(per_image(transformation["apply_perspective"], "bool"), transformed, images)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        size = self._size(transformation["input_shape"])
        boxes = self._to_xyxy(boxes, size)
        # Images are sampled from result to source; boxes are mapped from source to result.
        numbers = homography(transformation["start_points"], transformation["end_points"])
        a, b, c, d, e, f, g, h = (ops.reshape(numbers[:, i], (-1, 1, 1)) for i in range(8))

        def move(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            k = g * x + h * y + 1
            return (a * x + b * y + c) / k, (d * x + e * y + f) / k

        is_transformed = ops.reshape(transformation["apply_perspective"], (-1, 1, 1))
        boxes["boxes"] = ops.where(
            is_transformed, boxes_of.corners_hull(boxes["boxes"], move), boxes["boxes"]
        )
        return self._from_xyxy(boxes, size)


@exported("keras.layers")
class RandomElasticTransform(GeometryLayer):
    """Distort random images by smooth random displacements in training, see `ops.image.elastic_transform`.

    Args:
        factor: Bounds of the probability, drawn for each image, in [0, 1]: a pair, or one number for (0,
            factor).
        scale: Bounds of the strength s, drawn for the batch, in the same form: alpha = 0.1 s (longer side),
            sigma = 0.05 s (shorter side).
        interpolation: "nearest" or "bilinear".
        fill_mode: "reflect", "wrap", "constant", "nearest" or "mirror": values beyond the edges.
        fill_value: Value beyond the border for fill_mode="constant".
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        NotImplementedError: If there are bounding boxes, which do not remain boxes.

    Example:
        >>> hornbeam.layers.RandomElasticTransform(scale=0.5)(np.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)

    Source: Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks.
    """

    def __init__(
        self,
        factor: float | tuple[float, float] = 1.0,
        scale: float | tuple[float, float] = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        owner = "RandomElasticTransform"
        self.factor = factor_range(owner, "factor", factor, 0.0)
        self.scale = factor_range(owner, "scale", scale, 0.0)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where=owner)
        self.fill_mode = check_choice("fill_mode", fill_mode, _FILL_MODES, where=owner)
        self.fill_value = fill_value
        self.value_range = value_range_of(owner, value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {
            "apply_transform": draw_subset(self.factor, size.batch, seed),
            "distortion_factor": random.uniform((), *self.scale, seed=seed),
            "seed": draw_seed(seed),
        }

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        _, height, width, _ = images.shape
        strength = transformation["distortion_factor"]
        alpha = max(height, width) * 0.1 * strength
        # A Gaussian needs a standard deviation above 0; its value does not matter then, as alpha is 0 too.
        sigma = ops.maximum(min(height, width) * 0.05 * strength, 1e-3)
        # The window is static: three deviations of the strongest distortion.
        window = int(6 * 0.05 * min(height, width) * self.scale[1]) | 1
        order, key = order_of(interpolation), transformation["seed"]
        distorted = Tensor(
            deformed(images.node, alpha, sigma, window, order, self.fill_mode, self.fill_value, key)
        )
        distorted = ops.where(per_image(transformation["apply_transform"], "bool"), distorted, images)
        return ops.clip(distorted, *self.value_range)

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Tree:
        raise NotImplementedError(f"{self.describe()}: boxes do not remain boxes under elastic distortion")
