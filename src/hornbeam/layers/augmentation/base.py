"""What image layers share: dicts of images with labels, boxes and masks, single images, the training
switch, random draws.

A layer draws one transformation (a dict of tensors) for each batch and applies it to all that belongs to the
images. Subclasses write `_draw` and `_apply`, always for a batch in channels-last order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hornbeam import ops, random
from hornbeam._internal.validation import check_choice
from hornbeam.config import standard_data_format
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.augmentation import bounding_boxes as boxes_of
from hornbeam.layers.layer import Layer

Transformation = Any
Boxes = dict[str, Any]


class Size(NamedTuple):
    """Sizes of a batch of images; a single image is a batch of one."""

    batch: int
    height: int
    width: int
    channels: int


class ImageLayer(Layer):
    """A layer on images (height, width, channels), batches of them, or dicts with the key "images".

    A dict may hold "labels", "bounding_boxes" ({"boxes": (n, 4), "labels": (n,)}, in `bounding_box_format`)
    and "segmentation_masks" beside, which go through the same transformation; other keys stay as they are.
    """

    def __init__(
        self, bounding_box_format: str | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if bounding_box_format is not None:
            check_choice(
                "bounding_box_format", bounding_box_format, boxes_of.FORMATS, where=type(self).__name__
            )
        self.bounding_box_format = bounding_box_format
        self.data_format = standard_data_format(data_format)

    # -- what subclasses write -------------------------------------------------------------------------------

    def _draw(self, size: Size, seed: Any) -> Transformation:
        """A transformation for images of `size`."""
        return None

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Images (n, h, w, c) of the compute dtype, transformed."""
        raise NotImplementedError(f"{type(self).__name__} does not define _apply(images, transformation)")

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        """Boxes (n, boxes, 4) in the layer's format, transformed."""
        return boxes

    # -- the transformations, by what they are applied to ----------------------------------------------------

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Transformation:
        """Draw what is to be done to `data` (images, or a dict with images); None outside of training.

        seed: where the numbers come from, the layer's own generator by default.
        """
        if not training:
            return None
        return self._draw(self._size(self._images(data).shape), self._seed(seed))

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Images (or one), transformed in training, otherwise only cast to the compute dtype."""
        x = ops.cast(images, self.compute_dtype)
        return self._on_batch(lambda batch: self._apply(batch, transformation), x) if training else x

    def transform_labels(
        self, labels: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        """The labels that belong to a batch of transformed images."""
        return labels

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        """The boxes {"boxes": (batch, n, 4), "labels": (batch, n)} on a batch of transformed images."""
        return self._moved(bounding_boxes, transformation) if training else bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        """The masks that belong to a batch of transformed images."""
        return segmentation_masks

    # -- one sample ------------------------------------------------------------------------------------------

    def transform_single_image(
        self, image: Any, transformation: Transformation, training: bool = True
    ) -> Any:
        """As `transform_images`, for one image."""
        return ops.squeeze(self.transform_images(_batched(image), transformation, training=training), 0)

    def transform_single_label(
        self, label: Any, transformation: Transformation, training: bool = True
    ) -> Any:
        """As `transform_labels`, for one label."""
        return ops.squeeze(self.transform_labels(_batched(label), transformation, training=training), 0)

    def transform_single_bounding_box(
        self, bounding_box: Any, transformation: Transformation, training: bool = True
    ) -> Any:
        """As `transform_bounding_boxes`, for the boxes of one image."""
        return self.transform_bounding_boxes(bounding_box, transformation, training=training)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Transformation, training: bool = True
    ) -> Any:
        """As `transform_segmentation_masks`, for one mask."""
        made = self.transform_segmentation_masks(
            _batched(segmentation_mask), transformation, training=training
        )
        return ops.squeeze(made, 0)

    # -- calling ---------------------------------------------------------------------------------------------

    def call(self, data: Any, training: bool = True) -> Any:
        batch = len(self._images(data).shape) == 4
        transformation = self.get_random_transformation(data, training=training)
        if not isinstance(data, Mapping):
            return self._transform("images", data, batch, transformation, training)
        made = dict(data)
        for key in ("images", "bounding_boxes", "labels", "segmentation_masks"):
            if key in data:
                made[key] = self._transform(key, data[key], batch, transformation, training)
        return made

    def _transform(self, key: str, value: Any, batch: bool, transformation: Any, training: bool) -> Any:
        many, single = _METHODS[key]
        if key == "bounding_boxes":
            if self.bounding_box_format is None:
                raise ValueError(
                    f"{self.describe()}: say what the numbers of bounding_boxes mean, for example "
                    f'{type(self).__name__}(..., bounding_box_format="xyxy")'
                )
            value = boxes_of.dense(value)
        else:
            value = as_tensor(value)
        return getattr(self, many if batch else single)(value, transformation, training=training)

    def _images(self, data: Any) -> Any:
        """The images in what the layer is called with."""
        if isinstance(data, Mapping) and "images" not in data:
            raise ValueError(f'{self.describe()}: a dict needs the key "images", got {sorted(data)}')
        images = data["images"] if isinstance(data, Mapping) else data
        if not hasattr(images, "shape"):
            raise ValueError(
                f"{self.describe()} takes images or a dict with them, got {type(images).__name__}: put "
                'images and labels that belong together into {"images": ..., "labels": ...}'
            )
        if len(images.shape) not in (3, 4):
            raise ShapeError(
                f"{self.describe()}: images need three axes (one image) or four (a batch), got shape "
                f"{tuple(images.shape)}"
            )
        return images

    # -- helpers for subclasses ------------------------------------------------------------------------------

    def _size(self, shape: Any) -> Size:
        batch, *rest = shape if len(shape) == 4 else (1, *shape)
        if self.data_format == "channels_first":
            rest = [*rest[1:], rest[0]]
        return Size(batch, *rest)

    def _shape(self, size: Size) -> tuple[int, ...]:
        """The inverse of `_size`, for a batch."""
        batch, height, width, channels = size
        first = self.data_format == "channels_first"
        return (batch, channels, height, width) if first else (batch, height, width, channels)

    def _seed(self, seed: Any) -> Any:
        return seed if seed is not None else getattr(self, "generator", None)

    def _on_batch(self, work: Callable[[Tensor], Tensor], images: Any) -> Tensor:
        """`work`, which takes and gives (n, h, w, c), on images or on one, in the layer's data format."""
        x = as_tensor(images)
        if x.ndim == 3:
            return ops.squeeze(self._on_batch(work, _batched(x)), 0)
        return self._from_last(work(self._to_last(x)))

    def _moved(self, bounding_boxes: Mapping[str, Any], transformation: Transformation) -> Boxes:
        """`_move`, also for the boxes (n, 4) of one image."""
        boxes = {**bounding_boxes, **{key: as_tensor(bounding_boxes[key]) for key in ("boxes", "labels")}}
        single = {"boxes": 2, "labels": 1} if boxes["boxes"].ndim == 2 else {}
        single = {key: rank for key, rank in single.items() if boxes[key].ndim == rank}
        made = self._move({**boxes, **{key: _batched(boxes[key]) for key in single}}, transformation)
        return {**made, **{key: ops.squeeze(made[key], 0) for key in single}}

    def _to_last(self, images: Any) -> Tensor:
        """Images as (n, h, w, c)."""
        x = as_tensor(images)
        return ops.transpose(x, (0, 2, 3, 1)) if self.data_format == "channels_first" else x

    def _from_last(self, images: Tensor) -> Tensor:
        return ops.transpose(images, (0, 3, 1, 2)) if self.data_format == "channels_first" else images

    def _to_xyxy(self, boxes: Boxes, size: Size) -> Boxes:
        """Boxes in pixels, as left, top, right, bottom."""
        assert self.bounding_box_format is not None
        return boxes_of.convert_format(boxes, self.bounding_box_format, "xyxy", size.height, size.width)

    def _from_xyxy(self, boxes: Boxes, size: Size) -> Boxes:
        """The inverse of `_to_xyxy`, without what lies outside of images of `size`."""
        assert self.bounding_box_format is not None
        boxes = boxes_of.clip_to_image_size(boxes, size.height, size.width)
        return boxes_of.convert_format(boxes, "xyxy", self.bounding_box_format, size.height, size.width)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        if self.bounding_box_format is not None:
            config["bounding_box_format"] = self.bounding_box_format
        return config


_METHODS = {
    "images": ("transform_images", "transform_single_image"),
    "labels": ("transform_labels", "transform_single_label"),
    "bounding_boxes": ("transform_bounding_boxes", "transform_single_bounding_box"),
    "segmentation_masks": ("transform_segmentation_masks", "transform_single_segmentation_mask"),
}


class RandomImageLayer(ImageLayer):
    """An image layer with a random state of its own."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = random.SeedGenerator(seed)


class GeometryLayer(RandomImageLayer):
    """A random layer that moves pixels: masks go through it as images do, but are never averaged."""

    interpolation = "bilinear"

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        return self._warp(images, transformation, self.interpolation)

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        """Images (n, h, w, c), transformed with an interpolation: "nearest" or "bilinear"."""
        raise NotImplementedError(f"{type(self).__name__} does not define _warp(images, ...)")

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training:
            return segmentation_masks
        return self._on_batch(lambda batch: self._warp(batch, transformation, "nearest"), segmentation_masks)


def _batched(x: Any) -> Tensor:
    return ops.expand_dims(x, 0)


# -- arguments -----------------------------------------------------------------------------------------------


def is_number(x: Any) -> bool:
    """True for what may stand for a factor."""
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def factor_range(
    owner: str, name: str, value: Any, low: float = -1.0, high: float = 1.0
) -> tuple[float, float]:
    """The bounds between which a factor is drawn: the pair `value`, or -value (not below `low`) and value."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(is_number(x) and low <= x <= high for x in pair):
        raise ValueError(
            f"{owner}: {name} must be a number or a pair of numbers in [{low}, {high}], got {value!r}"
        )
    if isinstance(value, (tuple, list)):
        lower, upper = sorted(value)
        return lower, upper
    return max(-abs(value), low), abs(value)


def value_range_of(owner: str, value: Any) -> Any:
    """The pair (lowest, highest) that pixels lie between, as given."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not all(is_number(x) for x in value):
        raise ValueError(f"{owner}: value_range must be a pair of numbers such as (0, 255), got {value!r}")
    return value


def rescaled(images: Tensor, source: Any, target: Any) -> Tensor:
    """Floats between the bounds `source` brought between the bounds `target`."""
    if tuple(source) == tuple(target):
        return images
    unit = (images - source[0]) / (source[1] - source[0])
    return unit * (target[1] - target[0]) + target[0]


def per_image(numbers: Any, dtype: str) -> Tensor:
    """One number for each image, of whatever shape, as (n, 1, 1, 1)."""
    return ops.cast(ops.reshape(numbers, (-1, 1, 1, 1)), dtype)


def chosen(probability: tuple[float, float], count: int, seed: Any) -> Tensor:
    """bool (count,): true with a probability that is itself drawn between two bounds, for each image."""
    chance = random.uniform((count,), *probability, seed=seed)
    return random.uniform((count,), seed=seed) < chance
