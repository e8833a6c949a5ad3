"""Base of image layers: dicts of images with labels, boxes and masks, single images, and random draws.

A layer draws one transformation (a dict of tensors) for each batch and applies it to everything that belongs
to the images. Subclasses define `_draw` and `_apply`, always for a batch in channels-last order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hornbeam import ops, random
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_choice
from hornbeam.config import standard_data_format
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, TensorTree, Unpack
from hornbeam.ir.types import ShapeError
from hornbeam.layers.augmentation import bounding_boxes as boxes_of
from hornbeam.layers.layer import Layer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random.keys import SeedLike

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

    A dict may also contain "labels", "bounding_boxes" ({"boxes": (n, 4), "labels": (n,)}, in
    `bounding_box_format`) and "segmentation_masks", to which the same transformation is applied; other keys
    are passed through.
    """

    def __init__(
        self,
        bounding_box_format: str | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if bounding_box_format is not None:
            check_choice(
                "bounding_box_format", bounding_box_format, boxes_of.FORMATS, where=type(self).__name__
            )
        self.bounding_box_format = bounding_box_format
        self.data_format = standard_data_format(data_format)

    # -- defined by subclasses -------------------------------------------------------------------------------

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        """Draw a transformation for images of `size`."""
        return None

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        """Transform images (n, h, w, c) of the compute dtype."""
        raise NotImplementedError(f"{type(self).__name__} does not define _apply(images, transformation)")

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        """Transform boxes (n, boxes, 4) in the layer's format."""
        return boxes

    # -- transformations -------------------------------------------------------------------------------------

    def get_random_transformation(
        self, data: Tree, training: bool = True, seed: SeedLike = None
    ) -> Transformation:
        """Draw the transformation of a batch; None in inference.

        Args:
            data: Images, or a dict with images.
            training: Whether the layer acts.
            seed: Seed or generator, the layer's own by default.
        """
        if not training:
            return None
        return self._draw(self._size(self._images(data).shape), self._seed(seed))

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        """Transform images (or one) in training; only cast them to the compute dtype otherwise.

        Args:
            images: Images (batch, height, width, channels), or one.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        x = ops.cast(images, self.compute_dtype)
        return self._on_batch(lambda batch: self._apply(batch, transformation), x) if training else x

    def transform_labels(
        self, labels: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        """Transform the labels of a batch.

        Args:
            labels: Labels of the images.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        return labels

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Tree:
        """Transform the boxes of a batch.

        Args:
            bounding_boxes: {"boxes": (batch, n, 4), "labels": (batch, n)}.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        return self._move_boxes(bounding_boxes, transformation) if training else bounding_boxes

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        """Transform the segmentation masks of a batch.

        Args:
            segmentation_masks: Masks of the images.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        return segmentation_masks

    # -- one sample ------------------------------------------------------------------------------------------

    def transform_single_image(
        self, image: TensorLike, transformation: Transformation, training: bool = True
    ) -> Tree:
        """Transform one image as `transform_images` does.

        Args:
            image: Image (height, width, channels).
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        return ops.squeeze(
            self.transform_images(_add_batch_axis(image), transformation, training=training), 0
        )

    def transform_single_label(
        self, label: TensorLike, transformation: Transformation, training: bool = True
    ) -> Tree:
        """Transform one label as `transform_labels` does.

        Args:
            label: Label of the image.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        return ops.squeeze(
            self.transform_labels(_add_batch_axis(label), transformation, training=training), 0
        )

    def transform_single_bounding_box(
        self, bounding_box: Mapping[str, Any], transformation: Transformation, training: bool = True
    ) -> Tree:
        """Transform the boxes of one image as `transform_bounding_boxes` does.

        Args:
            bounding_box: {"boxes": (n, 4), "labels": (n,)}.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        return self.transform_bounding_boxes(bounding_box, transformation, training=training)

    def transform_single_segmentation_mask(
        self, segmentation_mask: TensorLike, transformation: Transformation, training: bool = True
    ) -> Tree:
        """Transform one mask as `transform_segmentation_masks` does.

        Args:
            segmentation_mask: Mask of the image.
            transformation: Result of `get_random_transformation`.
            training: Whether the layer acts.
        """
        masks = self.transform_segmentation_masks(
            _add_batch_axis(segmentation_mask), transformation, training=training
        )
        return ops.squeeze(masks, 0)

    # -- calling ---------------------------------------------------------------------------------------------

    def call(self, data: TensorLike | Mapping[str, TensorTree], training: bool = True) -> Tree:
        if isinstance(data, (list, tuple)) and len({getattr(x, "shape", None) for x in data} - {None}) == 1:
            data = ops.stack(list(data))  # images of one size
        batch = len(self._images(data).shape) == 4
        transformation = self.get_random_transformation(data, training=training)
        if not isinstance(data, Mapping):
            return self._transform("images", data, batch, transformation, training)
        outputs = dict(data)
        for key in ("images", "bounding_boxes", "labels", "segmentation_masks"):
            if key in data:
                outputs[key] = self._transform(key, data[key], batch, transformation, training)
        return outputs

    def _transform(
        self, key: str, value: Tree, batch: bool, transformation: Transformation, training: bool
    ) -> Tree:
        batch_method, single_method = _METHODS[key]
        if key == "bounding_boxes":
            if self.bounding_box_format is None:
                raise ValueError(
                    f"{self.describe()}: the format of bounding_boxes is unknown, write for example "
                    f'{type(self).__name__}(..., bounding_box_format="xyxy")'
                )
            value = boxes_of.dense(value)
        else:
            value = as_tensor(value)
        return getattr(self, batch_method if batch else single_method)(
            value, transformation, training=training
        )

    def _images(self, data: Tree) -> Any:
        """Return the images in the argument of a call."""
        if isinstance(data, Mapping) and "images" not in data:
            raise ValueError(f'{self.describe()}: a dict needs the key "images", got {sorted(data)}')
        images = data["images"] if isinstance(data, Mapping) else data
        if not hasattr(images, "shape"):
            raise ValueError(
                f"{self.describe()} takes images or a dict with them, got {type(images).__name__}: "
                'pass images with labels as {"images": ..., "labels": ...}'
            )
        if len(images.shape) not in (3, 4):
            raise ShapeError(
                f"{self.describe()}: images need three axes (one image) or four (a batch), "
                f"got shape {tuple(images.shape)}"
            )
        return images

    # -- helpers for subclasses ------------------------------------------------------------------------------

    def _size(self, shape: Sequence[int]) -> Size:
        batch, *sizes = shape if len(shape) == 4 else (1, *shape)
        if self.data_format == "channels_first":
            sizes = [*sizes[1:], sizes[0]]
        return Size(batch, *sizes)

    def _shape(self, size: Size) -> tuple[int, ...]:
        """Invert `_size`, for a batch."""
        batch, height, width, channels = size
        channels_first = self.data_format == "channels_first"
        return (batch, channels, height, width) if channels_first else (batch, height, width, channels)

    def _seed(self, seed: SeedLike) -> SeedLike:
        return seed if seed is not None else getattr(self, "generator", None)

    def _on_batch(self, function: Callable[[Tensor], Tensor], images: TensorLike) -> Tensor:
        """Apply a function of (n, h, w, c) to images, or to one, in the layer's data format."""
        x = as_tensor(images)
        if x.ndim == 3:
            return ops.squeeze(self._on_batch(function, _add_batch_axis(x)), 0)
        return self._from_last(function(self._to_last(x)))

    def _move_boxes(self, bounding_boxes: Mapping[str, Any], transformation: Transformation) -> Boxes:
        """Apply `_move`, also to the boxes (n, 4) of one image."""
        boxes = {**bounding_boxes, **{key: as_tensor(bounding_boxes[key]) for key in ("boxes", "labels")}}
        ranks = {"boxes": 2, "labels": 1} if boxes["boxes"].ndim == 2 else {}
        unbatched = {key: rank for key, rank in ranks.items() if boxes[key].ndim == rank}
        moved = self._move(
            {**boxes, **{key: _add_batch_axis(boxes[key]) for key in unbatched}}, transformation
        )
        return {**moved, **{key: ops.squeeze(moved[key], 0) for key in unbatched}}

    def _to_last(self, images: TensorLike) -> Tensor:
        """Transpose images to (n, h, w, c)."""
        x = as_tensor(images)
        return ops.transpose(x, (0, 2, 3, 1)) if self.data_format == "channels_first" else x

    def _from_last(self, images: Tensor) -> Tensor:
        return ops.transpose(images, (0, 3, 1, 2)) if self.data_format == "channels_first" else images

    def _to_xyxy(self, boxes: Boxes, size: Size) -> Boxes:
        """Convert boxes to left, top, right, bottom in pixels."""
        assert self.bounding_box_format is not None
        return boxes_of.convert_format(boxes, self.bounding_box_format, "xyxy", size.height, size.width)

    def _from_xyxy(self, boxes: Boxes, size: Size) -> Boxes:
        """Invert `_to_xyxy`, and clip boxes to images of `size`."""
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
    """A random layer that moves pixels. Masks are transformed as images are, but never averaged."""

    interpolation = "bilinear"

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        return self._warp(images, transformation, self.interpolation)

    def _warp(self, images: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        """Transform images (n, h, w, c) with an interpolation: "nearest" or "bilinear"."""
        raise NotImplementedError(f"{type(self).__name__} does not define _warp(images, ...)")

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        if not training:
            return segmentation_masks
        return self._on_batch(lambda batch: self._warp(batch, transformation, "nearest"), segmentation_masks)


def _add_batch_axis(x: TensorLike) -> Tensor:
    return ops.expand_dims(x, 0)


# -- arguments -----------------------------------------------------------------------------------------------


def is_number(x: object) -> bool:
    """True for an int or a float."""
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def factor_range(
    owner: str, name: str, value: float | Sequence[float], low: float = -1.0, high: float = 1.0
) -> tuple[float, float]:
    """Return the bounds of a factor: the pair `value`, or -value (at least `low`) and value."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(is_number(x) and low <= x <= high for x in pair):
        degrees = name == "factor" and owner == "RandomRotation" and is_number(value)
        hint = f". It is a fraction of a full turn: {value} degrees are {value}/360" if degrees else ""
        raise ValueError(
            f"{owner}: {name} must be a number or a pair of numbers in [{low}, {high}], got {value!r}{hint}"
        )
    if isinstance(value, (tuple, list)):
        lower, upper = sorted(value)
        return lower, upper
    size = abs(pair[0])
    return max(-size, low), size


def value_range_of(owner: str, value: Sequence[float]) -> Sequence[float]:
    """Check a pair (lowest, highest) of pixel values and return it unchanged."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not all(is_number(x) for x in value):
        raise ValueError(f"{owner}: value_range must be a pair of numbers such as (0, 255), got {value!r}")
    return value


def rescale(images: Tensor, source: Sequence[float], target: Sequence[float]) -> Tensor:
    """Map floats from the bounds `source` to the bounds `target`."""
    if tuple(source) == tuple(target):
        return images
    unit = (images - source[0]) / (source[1] - source[0])
    return unit * (target[1] - target[0]) + target[0]


def per_image(numbers: TensorLike, dtype: str) -> Tensor:
    """Reshape one number for each image to (n, 1, 1, 1)."""
    return ops.cast(ops.reshape(numbers, (-1, 1, 1, 1)), dtype)


def draw_subset(probability: tuple[float, float], count: int, seed: SeedLike) -> Tensor:
    """Draw booleans (count,) with a probability that is itself drawn, between two bounds, for each image."""
    probabilities = random.uniform((count,), *probability, seed=seed)
    return random.uniform((count,), seed=seed) < probabilities
