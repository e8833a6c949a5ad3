"""Random affine maps of images: flips, rotations, shears, translations, zooms.

Every image of a batch gets its own map, eight numbers (a, b, c, d, e, f, 0, 0): the pixel (x, y) of the
result is sampled at (a x + b y + c, d x + e y + f) of the input. Between pixels, values are averaged
(interpolation "bilinear") or taken from the nearest pixel ("nearest"). `fill_mode` defines values beyond the
edges: "reflect" (about the edge), "wrap", "nearest" (the edge pixel) or "constant" (`fill_value`).
"""

from __future__ import annotations

import math
from typing import Any

from hornbeam import ops, random
from hornbeam._internal.validation import check_choice
from hornbeam.core.convert import as_tensor, broadcast_shapes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.layers.augmentation import bounding_boxes as boxes_of
from hornbeam.layers.augmentation.base import (
    Boxes,
    GeometryLayer,
    Size,
    Transformation,
    factor_range,
)
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.ops.image.warping import in_float, on_grids, order_of
from hornbeam.random.keys import SeedLike

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")
FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")


@exported("keras.layers")
class RandomFlip(GeometryLayer):
    """Flip random images in training: left to right, upside down, or both at once, each with probability 1/2.

    Images are (height, width, channels), (batch, height, width, channels), or channels first with
    `data_format`; of any dtype, returned in the compute dtype. A dict with the key "images" may also contain
    "labels", "segmentation_masks" and "bounding_boxes" ({"boxes": (..., n, 4), "labels": (..., n)}, in the
    format `bounding_box_format`, such as "xyxy"), which are transformed with the images. This holds for all
    image layers.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical".
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If the mode is unknown.
        ShapeError: If the input is not an image or a batch of images.

    Example:
        >>> np.asarray(hornbeam.layers.RandomFlip("horizontal")(np.ones((1, 2, 2, 1)), training=False)).shape
        (1, 2, 2, 1)
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.mode = check_choice("mode", mode, FLIPS, where="RandomFlip")

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        flips = random.uniform((size.batch, 1, 1, 1), seed=seed) <= 0.5
        return {"flips": flips, "input_shape": self._shape(size)}

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        flips = ops.reshape(transformation["flips"], (-1, 1, 1, 1))
        axes = [axis for axis, name in ((2, "horizontal"), (1, "vertical")) if name in self.mode]
        return ops.where(flips, ops.flip(images, axis=axes), images)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        size = self._size(transformation["input_shape"])
        boxes = self._to_xyxy(boxes, size)
        flips = ops.reshape(transformation["flips"], (-1, 1))
        left, top, right, bottom = boxes_of.columns(boxes["boxes"])
        if "horizontal" in self.mode:
            mirrored = size.width - right, size.width - left
            left, right = (
                ops.where(flips, new, old) for new, old in zip(mirrored, (left, right), strict=True)
            )
        if "vertical" in self.mode:
            mirrored = size.height - bottom, size.height - top
            top, bottom = (
                ops.where(flips, new, old) for new, old in zip(mirrored, (top, bottom), strict=True)
            )
        boxes["boxes"] = boxes_of.stack_columns(left, top, right, bottom)
        return self._from_xyxy(boxes, size)


class SamplingLayer(GeometryLayer):
    """A layer that samples images between pixels and beyond their edges."""

    fill_mode: str
    fill_value: float

    def _set_sampling(self, fill_mode: str, interpolation: str, fill_value: float) -> None:
        owner = type(self).__name__
        self.fill_mode = check_choice("fill_mode", fill_mode, FILL_MODES, where=owner)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where=owner)
        self.fill_value = fill_value


class AffineLayer(SamplingLayer):
    """A layer that samples images through a matrix for each of them."""

    def _matrix(self, transformation: Transformation, size: Size) -> Tensor:
        """Return the maps, (n, 8)."""
        raise NotImplementedError

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        return ops.image.affine_transform(
            images,
            self._matrix(transformation, Size(*images.shape)),
            interpolation=interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format="channels_last",
        )


class GridLayer(SamplingLayer):
    """A layer whose maps keep rows and columns separate, which makes them several times faster."""

    def _scales(self, transformation: Transformation, size: Size) -> tuple[Any, Any, Any, Any]:
        """Return scale and shift of rows, then of columns: numbers (n, 1), or one for all."""
        raise NotImplementedError

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        size = Size(*images.shape)
        down, top, across, left = self._scales(transformation, size)
        positions = [
            ops.broadcast_to(ops.arange(length, dtype="float32") * scale + shift, (size.batch, length))
            for length, scale, shift in ((size.height, down, top), (size.width, across, left))
        ]
        rows, columns = (x.node for x in positions)
        order = order_of(interpolation)
        return Tensor(
            in_float(
                as_tensor(images).node,
                lambda n: on_grids(n, rows, columns, order, self.fill_mode, self.fill_value),
            )
        )


def matrix_of(
    a: TensorLike, b: TensorLike, c: TensorLike, d: TensorLike, e: TensorLike, f: TensorLike
) -> Tensor:
    """Stack the numbers of maps, each (n,) or one for all, to (n, 8)."""
    parts = [ops.cast(x, "float32") for x in (a, b, c, d, e, f, 0.0, 0.0)]
    shape = broadcast_shapes(*(x.shape for x in parts))
    return ops.stack([ops.broadcast_to(x, shape) for x in parts], axis=1)


def _column(numbers: TensorLike, index: int) -> Tensor:
    return ops.cast(numbers, "float32")[:, index]


@exported("keras.layers")
class RandomRotation(AffineLayer):
    """Rotate each image about its center by a random angle in training.

    Boxes become the axis-aligned boxes around the rotated ones.

    Args:
        factor: Bounds of the angle as a fraction of 2 pi, in [-1, 1]: a pair, or one number for (-factor,
            factor). Positive is counter-clockwise.
        fill_mode: "reflect", "wrap", "constant" or "nearest": values beyond the edges.
        interpolation: "nearest" or "bilinear".
        seed: Seed of the random state; drawn at random by default.
        fill_value: Value beyond the border for fill_mode="constant".
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
        >>> np.asarray(hornbeam.layers.RandomRotation((0.5, 0.5))(x)).round(2).ravel().tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    def __init__(
        self,
        factor: float | tuple[float, float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomRotation", "factor", factor)
        self._set_sampling(fill_mode, interpolation, fill_value)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        low, high = (360.0 * bound for bound in self.factor)
        angle = random.uniform((size.batch,), low, high, seed=seed)
        x, y = (size.width - 1) / 2, (size.height - 1) / 2
        radians = angle * (math.pi / 180)
        cos, sin = ops.cos(radians), ops.sin(radians)
        return {
            "angle": angle,
            "rotation_matrix": matrix_of(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos),
            "image_height": size.height,
            "image_width": size.width,
            "batch_size": size.batch,
        }

    def _matrix(self, transformation: Transformation, size: Size) -> Tensor:
        return transformation["rotation_matrix"]

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        height, width = transformation["image_height"], transformation["image_width"]
        size = Size(transformation["batch_size"], height, width, 0)
        boxes = self._to_xyxy(boxes, size)
        zero = ops.zeros((size.batch,))
        boxes["boxes"] = boxes_of.affine_transform(
            boxes["boxes"], transformation["angle"], zero, zero, zero + 1, zero, zero, height, width
        )
        return self._from_xyxy(boxes, size)


@exported("keras.layers")
class RandomShear(AffineLayer):
    """Shear each image in training: rows move by x * their height, columns by y * their position.

    Args:
        x_factor: Bounds of x in [-1, 1]: a pair, or one number for (-factor, factor). Both axes get one
            random sign.
        y_factor: Bounds of y, in the same form.
        interpolation: "nearest" or "bilinear".
        fill_mode: "reflect", "wrap", "constant" or "nearest": values beyond the edges.
        fill_value: Value beyond the border for fill_mode="constant".
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.RandomShear(0.2, 0.1)(np.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        x_factor: float | tuple[float, float] = 0.0,
        y_factor: float | tuple[float, float] = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.x_factor = factor_range("RandomShear", "x_factor", x_factor)
        self.y_factor = factor_range("RandomShear", "y_factor", y_factor)
        self._set_sampling(fill_mode, interpolation, fill_value)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        shape = (size.batch, 1)
        sign = ops.where(random.uniform(shape, seed=seed) > 0.5, -1.0, 1.0)
        down = random.uniform(shape, *self.y_factor, seed=seed)
        along = random.uniform(shape, *self.x_factor, seed=seed)
        return {
            "shear_factor": ops.concatenate([along, down], axis=1) * sign,
            "input_shape": self._shape(size),
        }

    def _matrix(self, transformation: Transformation, size: Size) -> Tensor:
        shear = transformation["shear_factor"]
        return matrix_of(1, _column(shear, 0), 0, _column(shear, 1), 1, 0)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        """Return the boxes around the sheared corners, each axis by itself."""
        size = self._size(transformation["input_shape"])
        boxes = self._to_xyxy(boxes, size)
        shear = transformation["shear_factor"]
        along, down = (ops.reshape(_column(shear, i), (-1, 1, 1)) for i in range(2))
        # The map from source to result is the inverse of the one that images are sampled through. Where that
        # map is singular, all points are on a line.
        area = 1 - along * down
        area = ops.where(ops.abs(area) < 1e-6, 1e-6, area)
        boxes["boxes"] = boxes_of.corners_hull(
            boxes["boxes"], lambda x, y: ((x - along * y) / area, (y - down * x) / area)
        )
        return self._from_xyxy(boxes, size)


@exported("keras.layers")
class RandomTranslation(GridLayer):
    """Translate each image by random fractions of its size in training.

    Args:
        height_factor: Bounds of the fraction of the height, in [-1, 1]: a pair, or one number for (-factor,
            factor). Positive is down.
        width_factor: Bounds of the fraction of the width, in the same form. Positive is right.
        fill_mode: "reflect", "wrap", "constant" or "nearest": values beyond the edges.
        interpolation: "nearest" or "bilinear".
        seed: Seed of the random state; drawn at random by default.
        fill_value: Value beyond the border for fill_mode="constant".
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> layer = hornbeam.layers.RandomTranslation((0.5, 0.5), 0.0, fill_mode="constant")
        >>> np.asarray(layer(np.ones((1, 2, 2, 1)))).ravel().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(
        self,
        height_factor: float | tuple[float, float],
        width_factor: float | tuple[float, float],
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._rows = factor_range("RandomTranslation", "height_factor", height_factor)
        self._columns = factor_range("RandomTranslation", "width_factor", width_factor)
        self._set_sampling(fill_mode, interpolation, fill_value)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        shape = (size.batch, 1)
        down = random.uniform(shape, *self._rows, seed=seed) * size.height
        along = random.uniform(shape, *self._columns, seed=seed) * size.width
        return {
            "translations": ops.concatenate([along, down], axis=1),
            "input_shape": self._shape(size),
        }

    def _scales(self, transformation: Transformation, size: Size) -> tuple[Any, Any, Any, Any]:
        moves = ops.cast(transformation["translations"], "float32")
        return 1.0, -moves[:, 1:], 1.0, -moves[:, :1]

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        size = self._size(transformation["input_shape"])
        boxes = self._to_xyxy(boxes, size)
        along, down = (ops.expand_dims(_column(transformation["translations"], i), 1) for i in range(2))
        boxes["boxes"] = boxes_of.pad(boxes["boxes"], down, along)
        return self._from_xyxy(boxes, size)


@exported("keras.layers")
class RandomZoom(GridLayer):
    """Zoom each image about its center in training: the fraction 1 + f of it is shown.

    Args:
        height_factor: Bounds of f in (-1, 1]: a pair, or one number for (-factor, factor). Negative zooms in,
            positive zooms out.
        width_factor: Bounds for the width, in the same form; the draw of the height by default, which keeps
            the aspect ratio.
        fill_mode: "reflect", "wrap", "constant" or "nearest": values beyond the edges.
        interpolation: "nearest" or "bilinear".
        seed: Seed of the random state; drawn at random by default.
        fill_value: Value beyond the border for fill_mode="constant".
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.RandomZoom(0.2)(np.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        height_factor: float | tuple[float, float],
        width_factor: float | tuple[float, float] | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._rows = _zooms("height_factor", height_factor)
        self._columns = None if width_factor is None else _zooms("width_factor", width_factor)
        self._set_sampling(fill_mode, interpolation, fill_value)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        shape = (size.batch, 1)
        rows = random.uniform(shape, *self._rows, seed=seed)
        columns = rows if self._columns is None else random.uniform(shape, *self._columns, seed=seed)
        return {"height_zoom": rows, "width_zoom": columns, "input_shape": self._shape(size)}

    def _scales(self, transformation: Transformation, size: Size) -> tuple[Any, Any, Any, Any]:
        down, across = (ops.cast(transformation[key], "float32") for key in ("height_zoom", "width_zoom"))
        return down, (size.height - 1) / 2 * (1 - down), across, (size.width - 1) / 2 * (1 - across)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        size = self._size(transformation["input_shape"])
        boxes = self._to_xyxy(boxes, size)
        across, down = (
            ops.expand_dims(_column(transformation[key], 0), 1) for key in ("width_zoom", "height_zoom")
        )
        # Left and upper edge of the result in the source.
        x, y = (size.width - 1) / 2 * (1 - across), (size.height - 1) / 2 * (1 - down)
        left, top, right, bottom = boxes_of.columns(boxes["boxes"])
        boxes["boxes"] = boxes_of.stack_columns(
            (left - x) / across, (top - y) / down, (right - x) / across, (bottom - y) / down
        )
        return self._from_xyxy(boxes, size)


def _zooms(name: str, factor: float | tuple[float, float]) -> tuple[float, float]:
    low, high = factor_range("RandomZoom", name, factor)
    if low <= -1:
        raise ValueError(f"RandomZoom: {name} must be above -1 (which shows no pixels), got {factor!r}")
    return 1 + low, 1 + high
