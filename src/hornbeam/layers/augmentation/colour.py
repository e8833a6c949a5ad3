"""Random colours: brightness, contrast, saturation, hue, greys, negatives. Pixels stay where they are, so
labels, boxes and masks stay as they are.

`value_range` is what pixels lie between, (0, 255) by default; results are cut off there.
"""

from __future__ import annotations

from typing import Any

from hornbeam import ops, random
from hornbeam._internal.validation import check_rate
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.augmentation.base import (
    RandomImageLayer,
    Size,
    Transformation,
    chosen,
    factor_range,
    per_image,
    rescaled,
    value_range_of,
)


class ColourLayer(RandomImageLayer):
    """A layer that draws one factor for each image."""

    factor: tuple[float, float]
    value_range: Any

    def _set_range(self, value_range: Any) -> None:
        self.value_range = sorted(value_range_of(type(self).__name__, value_range))

    def _clipped(self, images: Tensor) -> Tensor:
        return ops.clip(images, self.value_range[0], self.value_range[1])


@exported("keras.layers")
class RandomBrightness(ColourLayer):
    """In training, y = x + f * (width of value_range), with one f for each image.

    factor: f is drawn between -factor and factor, or between two given bounds in [-1, 1].

    Raises ValueError for other values.

    >>> layer = hornbeam.layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))
    >>> np.asarray(layer(np.full((1, 1, 1, 1), 0.25))).ravel().tolist()
    [0.75]
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.factor = factor_range("RandomBrightness", "factor", factor)
        self._set_range(value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        delta = random.uniform((size.batch, 1, 1, 1), *self.factor, seed=seed)
        return {"rgb_delta": delta * (self.value_range[1] - self.value_range[0])}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        return self._clipped(images + per_image(transformation["rgb_delta"], images.dtype))


@exported("keras.layers")
class RandomContrast(ColourLayer):
    """In training, y = (x - m) f + m, with one f for each image and m the mean of each of its channels.

    factor: f is drawn between 1 - low and 1 + high for a pair (low, high) in [0, 1]; one number stands for
    (0, factor).

    Raises ValueError for other values.

    >>> x = np.array([0.0, 2.0]).reshape(1, 1, 2, 1)
    >>> np.asarray(hornbeam.layers.RandomContrast(0.0)(x)).ravel().tolist()
    [0.0, 2.0]
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.factor = factor_range("RandomContrast", "factor", factor, 0.0)
        self.value_range = value_range_of("RandomContrast", value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        low, high = self.factor
        return {"contrast_factor": random.uniform((size.batch, 1, 1, 1), 1 - low, 1 + high, seed=seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        factor = per_image(transformation["contrast_factor"], images.dtype)
        return self._clipped((images - mean) * factor + mean)


@exported("keras.layers")
class RandomColorDegeneration(ColourLayer):
    """In training, y = x + f (g - x), with g the image in grey and one f for each image.

    factor: f is drawn between -factor and factor, or between two given bounds in [-1, 1]: 1 is grey, 0 the
    image itself, negative numbers are more colourful.

    Raises ValueError for other values, ShapeError unless there are three channels.

    >>> layer = hornbeam.layers.RandomColorDegeneration((1.0, 1.0))
    >>> np.asarray(layer(np.array([10.0, 0.0, 0.0]).reshape(1, 1, 1, 3))).round(3).ravel()
    array([2.989, 2.989, 2.989], dtype=float32)
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
        self.factor = factor_range("RandomColorDegeneration", "factor", factor)
        self._set_range(value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        return {"factor": random.uniform((size.batch, 1, 1, 1), *self.factor, seed=seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        factor = per_image(transformation["factor"], images.dtype)
        grey = ops.image.rgb_to_grayscale(images, data_format="channels_last")
        return self._clipped(images + factor * (grey - images))


@exported("keras.layers")
class RandomGrayscale(RandomImageLayer):
    """In training, makes each image grey with probability `factor`; it keeps its three channels and dtype.

    Raises ValueError for a factor outside [0, 1], ShapeError unless there are three channels.

    >>> layer = hornbeam.layers.RandomGrayscale(1.0)
    >>> np.asarray(layer(np.array([10.0, 0.0, 0.0]).reshape(1, 1, 1, 3))).round(3).ravel()
    array([2.989, 2.989, 2.989], dtype=float32)
    """

    def __init__(
        self,
        factor: float = 0.5,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = check_rate("factor", factor, closed=True, where="RandomGrayscale")

    def _draw(self, size: Size, seed: Any) -> Transformation:
        """bool (n, 1, 1, 1): which images become grey."""
        return random.uniform((size.batch, 1, 1, 1), seed=seed) < self.factor

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        if not training:
            return images
        return self._on_batch(lambda batch: self._apply(batch, transformation), images)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        grey = ops.image.rgb_to_grayscale(images, data_format="channels_last")
        return ops.where(per_image(transformation, "bool"), grey, images)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.seed is None:  # Keras never writes it
            del config["seed"]
        return config


@exported("keras.layers")
class RandomHue(ColourLayer):
    """In training, moves the hue of each image around the colour wheel by an angle of its own.

    factor: the angle is drawn between 0 and factor half turns, or between two given bounds in [0, 1], to
    either side.

    Raises ValueError for other values, ShapeError unless there are three channels.

    >>> hornbeam.layers.RandomHue(0.2)(np.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
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
        self.factor = factor_range("RandomHue", "factor", factor, 0.0)
        self.value_range = value_range_of("RandomHue", value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        sign = ops.where(random.uniform((size.batch,), seed=seed) > 0.5, -1.0, 1.0)
        return {"factor": sign * random.uniform((size.batch,), *self.factor, seed=seed) * 0.5}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        hue, saturation, value = _hsv(rescaled(images, self.value_range, (0, 1)))
        hue = hue + per_image(transformation["factor"], images.dtype)
        hue = ops.where(hue > 1, hue - 1, ops.where(hue < 0, hue + 1, hue))
        rgb = ops.clip(_rgb(hue, saturation, value), 0, 1)
        return rescaled(rgb, (0, 1), self.value_range)


def _hsv(images: Tensor) -> list[Tensor]:
    return ops.split(ops.image.rgb_to_hsv(images, data_format="channels_last"), 3, axis=-1)


def _rgb(*parts: Tensor) -> Tensor:
    return ops.image.hsv_to_rgb(ops.concatenate(parts, axis=-1), data_format="channels_last")


@exported("keras.layers")
class RandomSaturation(ColourLayer):
    """In training, multiplies the saturation of each image by a number of its own: f / (1 - f).

    factor: f is drawn between -factor and factor, or between two given bounds in [-1, 1]; 1/2 leaves the
    image as it is, 0 makes it grey.

    Raises ValueError for other values, ShapeError unless there are three channels.

    >>> layer = hornbeam.layers.RandomSaturation((0.0, 0.0), value_range=(0, 1))
    >>> np.asarray(layer(np.array([0.5, 0.25, 0.0]).reshape(1, 1, 1, 3))).ravel().tolist()
    [0.5, 0.5, 0.5]
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
        self.factor = factor_range("RandomSaturation", "factor", factor)
        self._set_range(value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        factor = random.uniform((size.batch,), *self.factor, seed=seed)
        return {"factor": factor / (1 - factor + epsilon())}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        hue, saturation, value = _hsv(images)
        return _rgb(hue, self._clipped(saturation * per_image(transformation["factor"], images.dtype)), value)


@exported("keras.layers")
class RandomInvert(ColourLayer):
    """In training, makes negatives, y = (end of value_range) - x, of some of the images.

    factor: the probability, itself drawn for each image between 0 and factor, or between two given bounds in
    [0, 1].

    Raises ValueError for other values.

    >>> np.asarray(hornbeam.layers.RandomInvert((1.0, 1.0))(np.full((1, 1, 1, 1), 55.0))).ravel().tolist()
    [200.0]
    """

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomInvert", "factor", factor, 0.0)
        self.value_range = value_range_of("RandomInvert", value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        return {"apply_inversion": chosen(self.factor, size.batch, seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        inverted = per_image(transformation["apply_inversion"], "bool")
        return ops.where(inverted, self.value_range[1] - images, images)


@exported("keras.layers")
class RandomColorJitter(RandomImageLayer):
    """In training, `RandomBrightness`, `RandomContrast`, `RandomSaturation`, `RandomHue` one after another.

    brightness_factor, contrast_factor, saturation_factor, hue_factor: as in those layers; None leaves a layer
    out.

    Raises ValueError for other values.

    >>> layer = hornbeam.layers.RandomColorJitter(brightness_factor=0.1, hue_factor=0.1)
    >>> layer(np.ones((2, 4, 4, 3))).shape
    (2, 4, 4, 3)
    """

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
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
        found = {name: getattr(self, f"random_{name}") for name in _JITTER}
        return {name: layer for name, layer in found.items() if layer is not None}

    def _draw(self, size: Size, seed: Any) -> Transformation:
        """What each of the layers draws, by "brightness", "contrast", "saturation" and "hue"."""
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
