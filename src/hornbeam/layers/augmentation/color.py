"""Random colors: brightness, contrast, saturation, hue, grayscale, negatives.

Pixels are not moved, so labels, boxes and masks do not change. `value_range` is the range of pixels, (0, 255)
by default, to which results are clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops, random
from hornbeam._internal.validation import check_rate
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.layers.augmentation.base import (
    RandomImageLayer,
    Size,
    Transformation,
    draw_subset,
    factor_range,
    per_image,
    rescale,
    value_range_of,
)
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random.keys import SeedLike


class ColorLayer(RandomImageLayer):
    """A layer that draws one factor for each image."""

    factor: tuple[float, float]
    value_range: Sequence[float]

    def _set_range(self, value_range: tuple[float, float]) -> None:
        self.value_range = sorted(value_range_of(type(self).__name__, value_range))

    def _clip(self, images: Tensor) -> Tensor:
        return ops.clip(images, self.value_range[0], self.value_range[1])


@exported("keras.layers")
class RandomBrightness(ColorLayer):
    """Change the brightness of each image: `y = x + f * (width of value_range)` in training.

    Args:
        factor: Bounds of f in [-1, 1]: a pair, or one number for (-factor, factor).
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> layer = hornbeam.layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))
        >>> np.asarray(layer(np.full((1, 1, 1, 1), 0.25))).ravel().tolist()
        [0.75]
    """

    def __init__(
        self,
        factor: float | tuple[float, float],
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.factor = factor_range("RandomBrightness", "factor", factor)
        self._set_range(value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        delta = random.uniform((size.batch, 1, 1, 1), *self.factor, seed=seed)
        return {"rgb_delta": delta * (self.value_range[1] - self.value_range[0])}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        return self._clip(images + per_image(transformation["rgb_delta"], images.dtype))


@exported("keras.layers")
class RandomContrast(ColorLayer):
    """Change the contrast of each image: `y = (x - m) f + m` in training, m the mean of a channel.

    Args:
        factor: A pair (low, high) in [0, 1] for f between 1 - low and 1 + high, or one number for low = high.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> x = np.array([0.0, 2.0]).reshape(1, 1, 2, 1)
        >>> np.asarray(hornbeam.layers.RandomContrast(0.0)(x)).ravel().tolist()
        [0.0, 2.0]
    """

    def __init__(
        self,
        factor: float | tuple[float, float],
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.factor = factor_range("RandomContrast", "factor", factor, 0.0)
        self.value_range = value_range_of("RandomContrast", value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        low, high = self.factor
        return {"contrast_factor": random.uniform((size.batch, 1, 1, 1), 1 - low, 1 + high, seed=seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        factor = per_image(transformation["contrast_factor"], images.dtype)
        return self._clip((images - mean) * factor + mean)


@exported("keras.layers")
class RandomColorDegeneration(ColorLayer):
    """Blend each image with its grayscale: `y = x + f (g - x)` in training.

    Args:
        factor: Bounds of f in [-1, 1]: a pair, or one number for (-factor, factor). 1 is gray, 0 the image
            itself, negative numbers increase the saturation.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If images do not have three channels.

    Example:
        >>> layer = hornbeam.layers.RandomColorDegeneration((1.0, 1.0))
        >>> np.asarray(layer(np.array([10.0, 0.0, 0.0]).reshape(1, 1, 1, 3))).round(3).ravel()
        array([2.989, 2.989, 2.989], dtype=float32)
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
        self.factor = factor_range("RandomColorDegeneration", "factor", factor)
        self._set_range(value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {"factor": random.uniform((size.batch, 1, 1, 1), *self.factor, seed=seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        factor = per_image(transformation["factor"], images.dtype)
        gray = ops.image.rgb_to_grayscale(images, data_format="channels_last")
        return self._clip(images + factor * (gray - images))


@exported("keras.layers")
class RandomGrayscale(RandomImageLayer):
    """Convert random images to grayscale in training, with three channels and the dtype of the input.

    Args:
        factor: Probability for each image, in [0, 1].
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If `factor` is outside [0, 1].
        ShapeError: If images do not have three channels.

    Example:
        >>> layer = hornbeam.layers.RandomGrayscale(1.0)
        >>> np.asarray(layer(np.array([10.0, 0.0, 0.0]).reshape(1, 1, 1, 3))).round(3).ravel()
        array([2.989, 2.989, 2.989], dtype=float32)
    """

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = check_rate("factor", factor, closed=True, where="RandomGrayscale")

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        """Draw booleans (n, 1, 1, 1) that select images."""
        return random.uniform((size.batch, 1, 1, 1), seed=seed) < self.factor

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor | Any:
        if not training:
            return images
        return self._on_batch(lambda batch: self._apply(batch, transformation), images)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        gray = ops.image.rgb_to_grayscale(images, data_format="channels_last")
        return ops.where(per_image(transformation, "bool"), gray, images)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.seed is None:  # Keras omits it
            del config["seed"]
        return config


@exported("keras.layers")
class RandomHue(ColorLayer):
    """Rotate the hue of each image by a random angle in training.

    Args:
        factor: Bounds of the angle in half turns, in [0, 1], to either side: a pair, or one number for (0,
            factor).
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If images do not have three channels.

    Example:
        >>> hornbeam.layers.RandomHue(0.2)(np.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
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
        self.factor = factor_range("RandomHue", "factor", factor, 0.0)
        self.value_range = value_range_of("RandomHue", value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        sign = ops.where(random.uniform((size.batch,), seed=seed) > 0.5, -1.0, 1.0)
        return {"factor": sign * random.uniform((size.batch,), *self.factor, seed=seed) * 0.5}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        hue, saturation, value = _hsv(rescale(images, self.value_range, (0, 1)))
        hue = hue + per_image(transformation["factor"], images.dtype)
        hue = ops.where(hue > 1, hue - 1, ops.where(hue < 0, hue + 1, hue))
        rgb = ops.clip(_rgb(hue, saturation, value), 0, 1)
        return rescale(rgb, (0, 1), self.value_range)


def _hsv(images: Tensor) -> list[Tensor]:
    return ops.split(ops.image.rgb_to_hsv(images, data_format="channels_last"), 3, axis=-1)


def _rgb(*parts: Tensor) -> Tensor:
    return ops.image.hsv_to_rgb(ops.concatenate(parts, axis=-1), data_format="channels_last")


@exported("keras.layers")
class RandomSaturation(ColorLayer):
    """Multiply the saturation of each image by f / (1 - f) in training.

    Args:
        factor: Bounds of f in [-1, 1]: a pair, or one number for (-factor, factor). 1/2 does not change the
            image, 0 makes it gray.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If images do not have three channels.

    Example:
        >>> layer = hornbeam.layers.RandomSaturation((0.0, 0.0), value_range=(0, 1))
        >>> np.asarray(layer(np.array([0.5, 0.25, 0.0]).reshape(1, 1, 1, 3))).ravel().tolist()
        [0.5, 0.5, 0.5]
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
        self.factor = factor_range("RandomSaturation", "factor", factor)
        self._set_range(value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        factor = random.uniform((size.batch,), *self.factor, seed=seed)
        return {"factor": factor / (1 - factor + epsilon())}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        hue, saturation, value = _hsv(images)
        return _rgb(hue, self._clip(saturation * per_image(transformation["factor"], images.dtype)), value)


@exported("keras.layers")
class RandomInvert(ColorLayer):
    """Invert random images in training: `y = (end of value_range) - x`.

    Args:
        factor: Bounds of the probability, drawn for each image, in [0, 1]: a pair, or one number for (0,
            factor).
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> np.asarray(hornbeam.layers.RandomInvert((1.0, 1.0))(np.full((1, 1, 1, 1), 55.0))).ravel().tolist()
        [200.0]
    """

    def __init__(
        self,
        factor: float | tuple[float, float] = 1.0,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomInvert", "factor", factor, 0.0)
        self.value_range = value_range_of("RandomInvert", value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {"apply_inversion": draw_subset(self.factor, size.batch, seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        inverted = per_image(transformation["apply_inversion"], "bool")
        return ops.where(inverted, self.value_range[1] - images, images)


@exported("keras.layers")
class RandomColorJitter(RandomImageLayer):
    """Change brightness, contrast, saturation and hue of each image, in this order, in training.

    Args:
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        brightness_factor: Factor of `RandomBrightness`; None to omit it.
        contrast_factor: Factor of `RandomContrast`; None to omit it.
        saturation_factor: Factor of `RandomSaturation`; None to omit it.
        hue_factor: Factor of `RandomHue`; None to omit it.
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> layer = hornbeam.layers.RandomColorJitter(brightness_factor=0.1, hue_factor=0.1)
        >>> layer(np.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        brightness_factor: float | tuple[float, float] | None = None,
        contrast_factor: float | tuple[float, float] | None = None,
        saturation_factor: float | tuple[float, float] | None = None,
        hue_factor: float | tuple[float, float] | None = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range_of("RandomColorJitter", value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        common = {"value_range": value_range, "seed": seed, "dtype": self.dtype_policy}
        for name, cls in _JITTER.items():
            factor = getattr(self, f"{name}_factor")
            setattr(self, f"random_{name}", None if factor is None else cls(factor, **common))

    def _layers(self) -> dict[str, RandomImageLayer]:
        layers = {name: getattr(self, f"random_{name}") for name in _JITTER}
        return {name: layer for name, layer in layers.items() if layer is not None}

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        """Draw the transformation of each layer, by "brightness", "contrast", "saturation" and "hue"."""
        return {name: layer._draw(size, seed) for name, layer in self._layers().items()}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        for name, layer in self._layers().items():
            images = layer._apply(images, transformation[name])
        return images


_JITTER: dict[str, Any] = {
    "brightness": RandomBrightness,
    "contrast": RandomContrast,
    "saturation": RandomSaturation,
    "hue": RandomHue,
}
