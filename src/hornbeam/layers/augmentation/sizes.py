"""Image layers that change sizes: crops and resizing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hornbeam import ops, random
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_choice, check_int
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.layers.augmentation import bounding_boxes as boxes_of
from hornbeam.layers.augmentation.base import Boxes, ImageLayer, Size, Transformation
from hornbeam.layers.options import RegularizedLayerOptions, UnnamedLayerOptions
from hornbeam.ops.image.resizing import aspect_window
from hornbeam.random.keys import SeedLike

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


class Window(NamedTuple):
    """Part of images that is kept; with negative starts, the frame that they are put into."""

    top: TensorLike
    left: TensorLike
    height: int
    width: int


def boxes_in_window(boxes: Boxes, window: Window, height: int, width: int) -> Boxes:
    """Return boxes in "xyxy" after a window of the images was resized to height and width."""
    x = boxes_of.pad(boxes["boxes"], -ops.cast(window.top, "float32"), -ops.cast(window.left, "float32"))
    across, down = width / window.width, height / window.height
    left, top, right, bottom = boxes_of.columns(x)
    return {
        **boxes,
        "boxes": boxes_of.stack_columns(left * across, top * down, right * across, bottom * down),
    }


class _Sized(ImageLayer):
    """A layer that resizes a window of an image to height x width."""

    height: int
    width: int

    def _window(self, size: Size) -> Window:
        """Return the window of images of `size`: the largest centered one of the target's aspect ratio."""
        return Window(*aspect_window(size.height, size.width, (self.height, self.width), larger=False))

    def get_random_transformation(self, data: Tree, training: bool = True, seed: SeedLike = None) -> Tree:
        """Return (size of the images, window of them that is kept).

        Args:
            data: Images, or a dict with images.
            training: Whether the layer acts.
            seed: Seed or generator, the layer's own by default.
        """
        size = self._size(self._images(data).shape)
        return size, self._window(size)

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Tree:
        return self._move_boxes(bounding_boxes, transformation)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        size, window = transformation
        boxes = self._to_xyxy(boxes, size)
        boxes = boxes_in_window(boxes, window, self.height, self.width)
        return self._from_xyxy(boxes, size._replace(height=self.height, width=self.width))


class _Crop(_Sized):
    """A layer that crops its window, and resizes it only if it must."""

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return self._crop(ops.cast(images, self.compute_dtype), transformation, "bilinear")

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return self._crop(segmentation_masks, transformation, "nearest")

    def _crop(self, images: TensorLike, transformation: Transformation, interpolation: str) -> Tensor:
        return self._on_batch(lambda batch: self._cut(batch, transformation, interpolation), images)

    def _cut(self, x: Tensor, transformation: Transformation, interpolation: str) -> Tensor:
        batch, *_, channels = x.shape
        window = self._window(Size(*x.shape)) if transformation is None else transformation[1]
        x = ops.slice(x, (0, window.top, window.left, 0), (batch, window.height, window.width, channels))
        size = (self.height, self.width)
        return ops.image.resize(x, size, interpolation=interpolation, data_format="channels_last")


@exported("keras.layers")
class CenterCrop(_Crop):
    """Crop the center of images: (..., height, width, channels) -> the same with the given height and width.

    An image that is too small is enlarged: its largest part of the same aspect ratio is resized. Boxes, masks
    and labels are transformed too, see `RandomFlip`.

    Args:
        height: Number of rows of the output.
        width: Number of columns of the output.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.CenterCrop(2, 2)(np.ones((1, 4, 5, 3))).shape
        (1, 2, 2, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = check_int("height", height, minimum=1, where="CenterCrop")
        self.width = check_int("width", width, minimum=1, where="CenterCrop")

    def _window(self, size: Size) -> Window:
        rows, columns = size.height - self.height, size.width - self.width
        if rows < 0 or columns < 0:
            return super()._window(size)
        return Window(rows // 2, columns // 2, self.height, self.width)


@exported("keras.layers")
class RandomCrop(_Crop):
    """Crop a random part of height x width of images in training, the same part for a batch.

    In inference, and if images are not larger than the crop, the largest centered part of the crop's aspect
    ratio is resized to it. Boxes, masks and labels are transformed too, see `RandomFlip`.

    Args:
        height: Number of rows of the output.
        width: Number of columns of the output.
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        name: Name of the layer, generated by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.RandomCrop(2, 3, seed=1)(np.ones((1, 4, 5, 3))).shape
        (1, 2, 3, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Unpack[UnnamedLayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, name=name, **kwargs)
        self.height = check_int("height", height, minimum=1, where="RandomCrop")
        self.width = check_int("width", width, minimum=1, where="RandomCrop")
        self.seed = seed
        self.generator = random.SeedGenerator(seed)

    def get_random_transformation(self, data: Tree, training: bool = True, seed: SeedLike = None) -> Tree:
        size, window = super().get_random_transformation(data)
        rows, columns = size.height - self.height, size.width - self.width
        if training and rows > 0 and columns > 0:
            seed = self._seed(seed)
            top, left = (random.randint((), 0, extra + 1, seed=seed) for extra in (rows, columns))
            window = Window(top, left, self.height, self.width)
        return size, window


@exported("keras.layers")
class Resizing(_Sized):
    """Resize images: (..., height, width, channels) -> the same with the given height and width.

    Integer images are rounded and stay integers. Boxes, masks and labels are transformed too, see
    `RandomFlip`; boxes of only zeros or only -1 become zeros.

    Args:
        height: Number of rows of the output.
        width: Number of columns of the output.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: Whether the longer side is cropped first, so that images are not distorted.
        pad_to_aspect_ratio: Whether the shorter side is padded with `fill_value`, so that images are not
            distorted.
        fill_mode: Only "constant".
        fill_value: Value of the padding.
        antialias: Whether a low-pass filter is applied when images shrink.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If a size is below 1, the interpolation unknown, or cropping and padding are combined.

    Example:
        >>> hornbeam.layers.Resizing(2, 3)(np.ones((1, 4, 5, 3))).shape
        (1, 2, 3, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.height = check_int("height", height, minimum=1, where="Resizing")
        self.width = check_int("width", width, minimum=1, where="Resizing")
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where="Resizing")
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be set")
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = check_choice("fill_mode", fill_mode, ("constant",), where="Resizing")
        self.fill_value = fill_value
        self.antialias = bool(antialias)

    def _window(self, size: Size) -> Window:
        if not (self.crop_to_aspect_ratio or self.pad_to_aspect_ratio):
            return Window(0, 0, size.height, size.width)
        target = (self.height, self.width)
        return Window(*aspect_window(size.height, size.width, target, larger=self.pad_to_aspect_ratio))

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return self._resize(images, self.interpolation)

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        return self._resize(segmentation_masks, "nearest")

    def _resize(self, images: TensorLike, interpolation: str) -> Tensor:
        return ops.image.resize(
            images,
            (self.height, self.width),
            interpolation=interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        values = boxes["boxes"]
        absent = ops.logical_or(ops.all(values == -1, axis=-1), ops.all(values == 0, axis=-1))
        size, window = transformation
        resized = boxes_in_window(self._to_xyxy(boxes, size), window, self.height, self.width)
        resized["boxes"] = ops.where(ops.expand_dims(absent, -1), 0.0, resized["boxes"])
        return self._from_xyxy(resized, size._replace(height=self.height, width=self.width))
