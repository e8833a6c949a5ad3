"""Gray levels of images: stretched, equalized, quantized, partly inverted.

Labels, boxes and masks do not change. Computation is in the range 0 to 255, whatever `value_range` is.
"""

from __future__ import annotations

import numpy as np

from hornbeam import ops, random
from hornbeam._internal.validation import check_int, check_sizes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.ir.limits import count_elements
from hornbeam.layers.augmentation.base import (
    ImageLayer,
    RandomImageLayer,
    Size,
    Transformation,
    factor_range,
    per_image,
    rescale,
    value_range_of,
)
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random.keys import SeedLike

BYTES = (0, 255)


@exported("keras.layers")
class AutoContrast(ImageLayer):
    """Stretch each channel of each image to `value_range`, in training and inference.

    A channel of one value does not change.

    Args:
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If `value_range` is invalid.

    Example:
        >>> x = np.array([10.0, 20.0]).reshape(1, 1, 2, 1)
        >>> np.asarray(hornbeam.layers.AutoContrast()(x)).ravel().tolist()
        [0.0, 255.0]
    """

    def __init__(
        self, value_range: tuple[float, float] = (0, 255), **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.value_range = sorted(value_range_of("AutoContrast", value_range))

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return super().transform_images(images, transformation)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        x = rescale(images, self.value_range, BYTES)
        low, high = (fn(x, axis=(1, 2), keepdims=True) for fn in (ops.min, ops.max))
        is_flat = high == low
        scale = 255.0 / ops.where(is_flat, 1.0, high - low)
        stretched = rescale(ops.clip(x * scale - low * scale, 0.0, 255.0), BYTES, self.value_range)
        return ops.where(is_flat, images, stretched)


@exported("keras.layers")
class Equalization(ImageLayer):
    """Equalize the histogram of each channel in training.

    Formula: `y = 255 (F(x) - F(lowest x)) / (N - F(lowest x))`, where F(x) counts the values of a channel, of
    N in the whole batch, in the bin of x or below.

    Args:
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        bins: Number of bins.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If `bins` is below 1 or `value_range` invalid.

    Example:
        >>> x = np.array([10.0, 20.0, 20.0, 30.0]).reshape(1, 2, 2, 1)
        >>> np.asarray(hornbeam.layers.Equalization()(x)).ravel().tolist()
        [0.0, 170.0, 170.0, 255.0]
    """

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.bins = check_int("bins", bins, minimum=1, where="Equalization")
        self.value_range = sorted(value_range_of("Equalization", value_range))

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        x = ops.cast(rescale(images, self.value_range, BYTES), "float32")
        channels = x.shape[-1]
        # Each channel has a section of one table.
        start = ops.arange(channels, dtype="int32") * self.bins
        counts = ops.reshape(
            _counts(_bins(x * (self.bins - 1) / 255, self.bins) + start, channels * self.bins),
            (channels, self.bins),
        )
        table = _equalization_table(counts)
        equalized = ops.take(ops.reshape(table, (-1,)), _bins(x / 255.0 * (self.bins - 1), self.bins) + start)
        has_several_levels = ops.sum(ops.cast(counts > 0, "int32"), axis=1) > 1
        equalized = ops.where(has_several_levels, equalized, x)
        return ops.cast(rescale(equalized, BYTES, self.value_range), self.compute_dtype)


def _bins(scaled: Tensor, count: int) -> Tensor:
    return ops.clip(ops.cast(scaled, "int32"), 0, count - 1)


def _counts(values: Tensor, length: int) -> Tensor:
    """Count how often each of 0 ... length - 1 occurs, float32."""
    flat = ops.reshape(values, (-1, 1))
    return ops.scatter(flat, ops.ones((flat.shape[0],), "float32"), (length,))


def _equalization_table(counts: Tensor) -> Tensor:
    """Return for each bin (last axis) the level that makes all equally frequent."""
    cumulative = ops.cumsum(counts, axis=-1)
    total = cumulative[..., -1:]
    first = ops.min(ops.where(cumulative > 0, cumulative, total), axis=-1, keepdims=True)
    span = ops.where(total == first, 1.0, total - first)
    return ops.clip(ops.round((cumulative - first) * 255 / span), 0, 255)


@exported("keras.layers")
class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Equalize histograms locally and with limited contrast (CLAHE), in training and inference.

    Each image is divided into tiles. The histogram of a tile over 256 levels is clipped at `clip_limit` times
    its mean, the excess is distributed over all levels, and the cumulative sums define the tile's map of
    levels. A pixel interpolates between the maps of the four nearest tiles. The dtype does not change.

    Args:
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        clip_limit: Limit of a histogram relative to its mean; 0 for no limit.
        tile_grid_size: Number of tiles (rows, columns); one integer for both.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If a size is below 1 or `value_range` invalid.

    Example:
        >>> layer = hornbeam.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        >>> layer(np.ones((1, 8, 8, 3), "uint8")).dtype
        'uint8'

    Source: Zuiderveld 1994, Contrast limited adaptive histogram equalization.
    """

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: int | tuple[int, int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        owner = "ContrastLimitedAdaptiveHistogramEqualization"
        self.value_range = value_range_of(owner, value_range)
        self.clip_limit = clip_limit
        self.tile_grid_size = check_sizes("tile_grid_size", tile_grid_size, 2, where=owner)

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return self._on_batch(lambda batch: self._apply(batch, transformation), images)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        scaled = rescale(ops.cast(images, "float32"), self.value_range, BYTES)
        return ops.cast(rescale(self._equalize(scaled), BYTES, self.value_range), images.dtype)

    def _equalize(self, images: Tensor) -> Tensor:
        size = Size(*images.shape)
        axes = [
            _Tiles(length, count)
            for length, count in zip((size.height, size.width), self.tile_grid_size, strict=True)
        ]
        # Tiles extend over the edges, where images are mirrored.
        for axis, tiles in enumerate(axes, 1):
            images = ops.take(images, tiles.mirrored, axis=axis)
        levels = ops.cast(ops.clip(images, 0, 255), "int32")
        tables = self._tables(levels, axes)
        across = ops.reshape(ops.arange(size.channels, dtype="int32") * 256, (1, 1, 1, -1))
        along = ops.reshape(ops.arange(size.batch, dtype="int32"), (-1, 1, 1, 1))
        rows, columns = axes
        per_tile = 256 * size.channels
        base = along * (rows.count * columns.count * per_tile) + across + levels

        def read(row: np.ndarray, column: np.ndarray) -> Tensor:
            tile = (row[:, None] * columns.count + column[None, :]) * per_tile
            return ops.take(tables, base + tile.astype("int32")[None, :, :, None])

        down, right = rows.weight[None, :, None, None], columns.weight[None, None, :, None]
        upper = read(rows.before, columns.before) * (1 - right) + read(rows.before, columns.after) * right
        lower = read(rows.after, columns.before) * (1 - right) + read(rows.after, columns.after) * right
        return (upper * (1 - down) + lower * down)[:, : size.height, : size.width]

    def _tables(self, levels: Tensor, axes: list[_Tiles]) -> Tensor:
        """Return the maps of levels, flat: 256 numbers for each image, tile and channel."""
        rows, columns = axes
        batch, _, _, channels = levels.shape
        pixels = rows.length * columns.length
        parts = (batch, rows.count, rows.length, columns.count, columns.length, channels)
        tiles = ops.transpose(ops.reshape(levels, parts), (0, 1, 3, 5, 2, 4))
        number = batch * rows.count * columns.count * channels
        indices = ops.reshape(tiles, (number, pixels)) + ops.arange(number, dtype="int32")[:, None] * 256
        counts = ops.reshape(_counts(indices, number * 256), (number, 256))
        if self.clip_limit > 0:
            clipped = ops.minimum(counts, self.clip_limit * pixels / 256.0)
            counts = clipped + ops.sum(counts - clipped, axis=-1, keepdims=True) / 256.0
        cumulative = ops.cumsum(counts, axis=-1)
        first = cumulative[:, :1]
        span = ops.where(first == pixels, 1.0, pixels - first)
        return ops.reshape(ops.clip((cumulative - first) * 255.0 / span, 0, 255), (-1,))


class _Tiles:
    """One axis of images divided into `count` tiles of `length` pixels."""

    def __init__(self, size: int, count: int) -> None:
        self.count = count
        self.length = -(-size // count)
        padded_size = self.length * count
        count_elements(padded_size)
        self.mirrored = np.pad(np.arange(size), (0, padded_size - size), mode="symmetric").astype("int32")
        position = (np.arange(padded_size) - self.length / 2.0) / self.length
        floor = np.floor(position)
        self.weight = (position - floor).astype("float32")
        self.before = np.clip(floor, 0, count - 1).astype("int32")
        self.after = np.clip(floor + 1, 0, count - 1).astype("int32")


@exported("keras.layers")
class Solarization(RandomImageLayer):
    """Add a number to each image and invert the values from a threshold on, in training.

    Args:
        addition_factor: Bounds of the number in [0, 1]: a pair (low, high) for low to 255 high, or one number
            for (0, factor).
        threshold_factor: Bounds of the threshold, in the same form.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> np.asarray(hornbeam.layers.Solarization()(np.full((1, 1, 1, 1), 55.0))).ravel().tolist()
        [200.0]
    """

    def __init__(
        self,
        addition_factor: float | tuple[float, float] = 0.0,
        threshold_factor: float | tuple[float, float] = 0.0,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.addition_factor = factor_range("Solarization", "addition_factor", addition_factor, 0.0)
        self.threshold_factor = factor_range("Solarization", "threshold_factor", threshold_factor, 0.0)
        self.value_range = sorted(value_range_of("Solarization", value_range))

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        bounds = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            name: random.uniform((size.batch, 1, 1, 1), low, high * 255, seed=seed)
            for name, (low, high) in bounds.items()
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        added, threshold = (
            per_image(transformation[name], images.dtype) for name in ("additions", "thresholds")
        )
        x = ops.clip(rescale(images, self.value_range, BYTES) + added, 0, 255)
        return rescale(ops.where(x < threshold, x, 255 - x), BYTES, self.value_range)


@exported("keras.layers")
class RandomPosterization(RandomImageLayer):
    """Keep the highest bits of 8 of each pixel in training, a random number of them for each image.

    Args:
        factor: Number of bits: 1 to factor - 1, or for a pair (low, high) low to high - 1; equal bounds are
            that number. Integers from 1 to 8.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> layer = hornbeam.layers.RandomPosterization((1, 1))
        >>> np.asarray(layer(np.full((1, 1, 1, 1), 200.0))).ravel().tolist()
        [128.0]
    """

    def __init__(
        self,
        factor: float | tuple[float, float],
        value_range: tuple[float, float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomPosterization", "factor", factor, 1, 8)
        self.value_range = sorted(value_range_of("RandomPosterization", value_range))

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        low, high = (int(bound) for bound in self.factor)
        bits = random.randint((size.batch,), low, max(high, low + 1), "uint8", seed=seed)
        return {"shift_factor": ops.subtract(ops.array(8, "uint8"), bits)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        num_bits = per_image(transformation["shift_factor"], "uint8")
        x = ops.cast(rescale(images, self.value_range, BYTES), "uint8")
        x = ops.left_shift(ops.right_shift(x, num_bits), num_bits)
        return rescale(ops.cast(x, images.dtype), BYTES, self.value_range)
