"""Tones of images: stretched, equalized, reduced to few, partly inverted. Labels, boxes and masks stay as
they are. Work is done between 0 and 255, whatever `value_range` is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops, random
from hornbeam._internal.validation import check_int, check_sizes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.limits import count_elements
from hornbeam.layers.augmentation.base import (
    ImageLayer,
    RandomImageLayer,
    Size,
    Transformation,
    factor_range,
    per_image,
    rescaled,
    value_range_of,
)

BYTES = (0, 255)


@exported("keras.layers")
class AutoContrast(ImageLayer):
    """Stretches each channel of each image so that it fills `value_range`; training or not.

    A channel of one value stays as it is. Raises ValueError for other ranges.

    >>> x = np.array([10.0, 20.0]).reshape(1, 1, 2, 1)
    >>> np.asarray(hornbeam.layers.AutoContrast()(x)).ravel().tolist()
    [0.0, 255.0]
    """

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = sorted(value_range_of("AutoContrast", value_range))

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return super().transform_images(images, transformation)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        x = rescaled(images, self.value_range, BYTES)
        low, high = (fn(x, axis=(1, 2), keepdims=True) for fn in (ops.min, ops.max))
        flat = high == low
        scale = 255.0 / ops.where(flat, 1.0, high - low)
        made = rescaled(ops.clip(x * scale - low * scale, 0.0, 255.0), BYTES, self.value_range)
        return ops.where(flat, images, made)


@exported("keras.layers")
class Equalization(ImageLayer):
    """In training, maps the tones of each channel so that all are about equally frequent.

    y = 255 (F(x) - F(lowest x)) / (N - F(lowest x)), with F(x) how many of the N values of a channel, in the
    whole batch, lie in the bin of x or below. bins: how many tones are told apart.

    Raises ValueError for bins below 1 or other ranges.

    >>> x = np.array([10.0, 20.0, 20.0, 30.0]).reshape(1, 2, 2, 1)
    >>> np.asarray(hornbeam.layers.Equalization()(x)).ravel().tolist()
    [0.0, 170.0, 170.0, 255.0]
    """

    def __init__(
        self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.bins = check_int("bins", bins, minimum=1, where="Equalization")
        self.value_range = sorted(value_range_of("Equalization", value_range))

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        x = ops.cast(rescaled(images, self.value_range, BYTES), "float32")
        channels = x.shape[-1]
        # Each channel has a stretch of one long table.
        start = ops.arange(channels, dtype="int32") * self.bins
        counts = ops.reshape(
            _counts(_bins(x * (self.bins - 1) / 255, self.bins) + start, channels * self.bins),
            (channels, self.bins),
        )
        table = _equal_tones(counts)
        made = ops.take(ops.reshape(table, (-1,)), _bins(x / 255.0 * (self.bins - 1), self.bins) + start)
        several = ops.sum(ops.cast(counts > 0, "int32"), axis=1) > 1
        made = ops.where(several, made, x)
        return ops.cast(rescaled(made, BYTES, self.value_range), self.compute_dtype)


def _bins(scaled: Tensor, count: int) -> Tensor:
    return ops.clip(ops.cast(scaled, "int32"), 0, count - 1)


def _counts(places: Tensor, length: int) -> Tensor:
    """How often each of 0 ... length - 1 occurs, float32."""
    flat = ops.reshape(places, (-1, 1))
    return ops.scatter(flat, ops.ones((flat.shape[0],), "float32"), (length,))


def _equal_tones(counts: Tensor) -> Tensor:
    """For each bin (last axis) the tone that makes all equally frequent."""
    below = ops.cumsum(counts, axis=-1)
    total = below[..., -1:]
    first = ops.min(ops.where(below > 0, below, total), axis=-1, keepdims=True)
    span = ops.where(total == first, 1.0, total - first)
    return ops.clip(ops.round((below - first) * 255 / span), 0, 255)


@exported("keras.layers")
class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Equalizes tones by what occurs in the neighbourhood, and not beyond a limit; training or not.

    Each image is cut into tile_grid_size (rows, columns) tiles. A tile's counts of the 256 tones are cut off
    at clip_limit times their mean, what is cut is spread over all tones, and the sums of the counts give the
    tile's map of tones; a pixel mixes the maps of the four tiles around it by its distance to their middles.
    Zuiderveld, "Contrast limited adaptive histogram equalization", 1994. The dtype stays.

    clip_limit: 0 for no limit. Raises ValueError for grids below 1 or other ranges.

    >>> layer = hornbeam.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
    >>> layer(np.ones((1, 8, 8, 3), "uint8")).dtype
    'uint8'
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Any = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        owner = "ContrastLimitedAdaptiveHistogramEqualization"
        self.value_range = value_range_of(owner, value_range)
        self.clip_limit = clip_limit
        self.tile_grid_size = check_sizes("tile_grid_size", tile_grid_size, 2, where=owner)

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return self._on_batch(lambda batch: self._apply(batch, transformation), images)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        work = rescaled(ops.cast(images, "float32"), self.value_range, BYTES)
        return ops.cast(rescaled(self._equalized(work), BYTES, self.value_range), images.dtype)

    def _equalized(self, images: Tensor) -> Tensor:
        size = Size(*images.shape)
        axes = [
            _Tiles(length, count)
            for length, count in zip((size.height, size.width), self.tile_grid_size, strict=True)
        ]
        # Tiles reach over the edges, where the images are mirrored.
        for axis, tiles in enumerate(axes, 1):
            images = ops.take(images, tiles.mirrored, axis=axis)
        tones = ops.cast(ops.clip(images, 0, 255), "int32")
        tables = self._tables(tones, axes)
        across = ops.reshape(ops.arange(size.channels, dtype="int32") * 256, (1, 1, 1, -1))
        along = ops.reshape(ops.arange(size.batch, dtype="int32"), (-1, 1, 1, 1))
        rows, columns = axes
        per_tile = 256 * size.channels
        base = along * (rows.count * columns.count * per_tile) + across + tones

        def read(row: np.ndarray, column: np.ndarray) -> Tensor:
            tile = (row[:, None] * columns.count + column[None, :]) * per_tile
            return ops.take(tables, base + tile.astype("int32")[None, :, :, None])

        down, right = rows.weight[None, :, None, None], columns.weight[None, None, :, None]
        upper = read(rows.before, columns.before) * (1 - right) + read(rows.before, columns.after) * right
        lower = read(rows.after, columns.before) * (1 - right) + read(rows.after, columns.after) * right
        return (upper * (1 - down) + lower * down)[:, : size.height, : size.width]

    def _tables(self, tones: Tensor, axes: list[_Tiles]) -> Tensor:
        """The maps of tones, flat: for each image, tile and channel 256 numbers."""
        rows, columns = axes
        batch, _, _, channels = tones.shape
        pixels = rows.length * columns.length
        parts = (batch, rows.count, rows.length, columns.count, columns.length, channels)
        tiles = ops.transpose(ops.reshape(tones, parts), (0, 1, 3, 5, 2, 4))
        number = batch * rows.count * columns.count * channels
        places = ops.reshape(tiles, (number, pixels)) + ops.arange(number, dtype="int32")[:, None] * 256
        counts = ops.reshape(_counts(places, number * 256), (number, 256))
        if self.clip_limit > 0:
            kept = ops.minimum(counts, self.clip_limit * pixels / 256.0)
            counts = kept + ops.sum(counts - kept, axis=-1, keepdims=True) / 256.0
        below = ops.cumsum(counts, axis=-1)
        first = below[:, :1]
        span = ops.where(first == pixels, 1.0, pixels - first)
        return ops.reshape(ops.clip((below - first) * 255.0 / span, 0, 255), (-1,))


class _Tiles:
    """One axis of images cut into `count` tiles of `length` pixels."""

    def __init__(self, size: int, count: int) -> None:
        self.count = count
        self.length = -(-size // count)
        whole = self.length * count
        count_elements(whole)
        self.mirrored = np.pad(np.arange(size), (0, whole - size), mode="symmetric").astype("int32")
        place = (np.arange(whole) - self.length / 2.0) / self.length
        floor = np.floor(place)
        self.weight = (place - floor).astype("float32")
        self.before = np.clip(floor, 0, count - 1).astype("int32")
        self.after = np.clip(floor + 1, 0, count - 1).astype("int32")


@exported("keras.layers")
class Solarization(RandomImageLayer):
    """In training, adds a number to each image and inverts what is then not below a threshold.

    addition_factor, threshold_factor: the number is drawn between 0 and 255 addition_factor, the threshold
    between 0 and 255 threshold_factor; from pairs (low, high) in [0, 1], between low and 255 high.

    Raises ValueError for other values.

    >>> np.asarray(hornbeam.layers.Solarization()(np.full((1, 1, 1, 1), 55.0))).ravel().tolist()
    [200.0]
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.addition_factor = factor_range("Solarization", "addition_factor", addition_factor, 0.0)
        self.threshold_factor = factor_range("Solarization", "threshold_factor", threshold_factor, 0.0)
        self.value_range = sorted(value_range_of("Solarization", value_range))

    def _draw(self, size: Size, seed: Any) -> Transformation:
        bounds = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            name: random.uniform((size.batch, 1, 1, 1), low, high * 255, seed=seed)
            for name, (low, high) in bounds.items()
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        added, threshold = (
            per_image(transformation[name], images.dtype) for name in ("additions", "thresholds")
        )
        x = ops.clip(rescaled(images, self.value_range, BYTES) + added, 0, 255)
        return rescaled(ops.where(x < threshold, x, 255 - x), BYTES, self.value_range)


@exported("keras.layers")
class RandomPosterization(RandomImageLayer):
    """In training, keeps the highest bits of each pixel (of 8), as many as are drawn for its image.

    factor: how many bits, from 1 ... factor - 1, or for a pair (low, high) from low ... high - 1; equal
    bounds are that number. Whole numbers from 1 to 8.

    Raises ValueError for other values.

    >>> np.asarray(hornbeam.layers.RandomPosterization((1, 1))(np.full((1, 1, 1, 1), 200.0))).ravel().tolist()
    [128.0]
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomPosterization", "factor", factor, 1, 8)
        self.value_range = sorted(value_range_of("RandomPosterization", value_range))

    def _draw(self, size: Size, seed: Any) -> Transformation:
        low, high = (int(bound) for bound in self.factor)
        bits = random.randint((size.batch,), low, max(high, low + 1), "uint8", seed=seed)
        return {"shift_factor": ops.subtract(ops.array(8, "uint8"), bits)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        lost = per_image(transformation["shift_factor"], "uint8")
        x = ops.cast(rescaled(images, self.value_range, BYTES), "uint8")
        x = ops.left_shift(ops.right_shift(x, lost), lost)
        return rescaled(ops.cast(x, images.dtype), BYTES, self.value_range)
