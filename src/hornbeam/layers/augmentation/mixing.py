"""Mixtures of the images of a batch, and of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbeam import ops, random
from hornbeam._internal.typing import Tree
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.layers.augmentation.base import (
    Boxes,
    RandomImageLayer,
    Size,
    Transformation,
    factor_range,
    is_number,
)
from hornbeam.layers.augmentation.filters import box_mask, random_span
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random.keys import SeedLike


class _Mixing(RandomImageLayer):
    """A layer that mixes each sample with another one, by a permutation of the batch."""

    def _mix(self, values: TensorLike, transformation: Transformation) -> Tensor:
        """Return w * values + (1 - w) * permuted values."""
        x = ops.cast(values, self.compute_dtype)
        weight = ops.reshape(transformation["mix_weight"], (-1, *(1,) * (x.ndim - 1)))
        weight = ops.cast(weight, x.dtype)
        return weight * x + (1 - weight) * ops.take(x, transformation["permutation_order"], axis=0)

    def transform_labels(
        self, labels: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        return self._mix(labels, transformation) if training else labels


def _permutation(count: int, seed: SeedLike) -> Tensor:
    return random.shuffle(ops.arange(count, dtype="int32"), seed=seed)


@exported("keras.layers")
class MixUp(_Mixing):
    """Mix each image with another one of the batch in training.

    Formula: `y = w x + (1 - w) x'`, w of Beta(alpha, alpha).

    Labels (batch, classes) are mixed in the same way; the boxes of pairs images are kept.

    Args:
        alpha: Parameter of the Beta distribution, above 0.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If `alpha` is not a positive number.

    Example:
        >>> hornbeam.layers.MixUp()({"images": np.ones((2, 4, 4, 3)), "labels": np.eye(2)})["labels"].shape
        (2, 2)

    Source: Zhang et al. 2018, mixup: Beyond empirical risk minimization.
    """

    def __init__(
        self,
        alpha: float = 0.2,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(f"MixUp: alpha must be a positive number, got {alpha!r}")
        self.alpha = alpha

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {
            "mix_weight": random.beta((size.batch,), self.alpha, self.alpha, seed=seed),
            "permutation_order": _permutation(size.batch, seed),
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        return self._mix(images, transformation)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        order = transformation["permutation_order"]
        pairs = {key: [boxes[key], ops.take(boxes[key], order, axis=0)] for key in ("boxes", "labels")}
        return {**boxes, **{key: ops.concatenate(parts, axis=1) for key, parts in pairs.items()}}

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        return self._mix(segmentation_masks, transformation) if training else segmentation_masks


@exported("keras.layers")
class CutMix(_Mixing):
    """Paste a box of another image of the batch into each image, in training.

    The box has the fraction 1 - w of the area, w of Beta(a, a). Labels (batch, classes) are mixed by the
    remaining area of each image; masks are cut as images are. A single image does not change.

    Args:
        factor: Bounds of a, in [0, 1]: a pair, or one number for (0, factor).
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        NotImplementedError: If there are bounding boxes.

    Example:
        >>> hornbeam.layers.CutMix()({"images": np.ones((2, 4, 4, 3)), "labels": np.eye(2)})["labels"].shape
        (2, 2)

    Source: Yun et al. 2019, CutMix.
    """

    def __init__(
        self,
        factor: float | tuple[float, float] = 1.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("CutMix", "factor", factor, 0.0)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        alpha = random.uniform((), *self.factor, seed=seed) + 1e-6
        part = ops.sqrt(1 - random.beta((size.batch,), alpha, alpha, seed=seed))
        x0, x1 = random_span(size.width, part, seed)
        y0, y1 = random_span(size.height, part, seed)
        area = (x1 - x0) * (y1 - y0) / (size.width * size.height)
        return {
            "permutation_order": _permutation(size.batch, seed),
            "batch_masks": self._from_last(box_mask(size, x0, x1, y0, y1)),
            "mix_weight": ops.reshape(1 - area, (-1, 1, 1, 1)),
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        partners = ops.take(images, transformation["permutation_order"], axis=0)
        # All channels of the mask are equal.
        cut = self._to_last(transformation["batch_masks"])[..., :1]
        return ops.where(cut, partners, images)

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Tree:
        raise NotImplementedError(f"{self.describe()}: bounding boxes are not supported")
