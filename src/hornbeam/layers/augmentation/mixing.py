"""Images mixed with others of their batch, and their labels with them."""

from __future__ import annotations

from typing import Any

from hornbeam import ops, random
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.augmentation.base import (
    Boxes,
    RandomImageLayer,
    Size,
    Transformation,
    factor_range,
    is_number,
)
from hornbeam.layers.augmentation.filters import inside, random_span


class _Mixing(RandomImageLayer):
    """A layer that mixes each sample with the one that a permutation puts in its place."""

    def _mixed(self, values: Any, transformation: Transformation) -> Tensor:
        """w * values + (1 - w) * permuted values."""
        x = ops.cast(values, self.compute_dtype)
        weight = ops.reshape(transformation["mix_weight"], (-1, *(1,) * (x.ndim - 1)))
        weight = ops.cast(weight, x.dtype)
        return weight * x + (1 - weight) * ops.take(x, transformation["permutation_order"], axis=0)

    def transform_labels(
        self, labels: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._mixed(labels, transformation) if training else labels


def _permutation(count: int, seed: Any) -> Tensor:
    return random.shuffle(ops.arange(count, dtype="int32"), seed=seed)


@exported("keras.layers")
class MixUp(_Mixing):
    """In training, y = w x + (1 - w) x', with x' another image of the batch and w of beta(alpha, alpha).

    Labels (batch, classes) are mixed alike; boxes of both images are kept. Zhang et al., "mixup: Beyond
    empirical risk minimization", 2018.

    Raises ValueError unless alpha is a number above 0.

    >>> hornbeam.layers.MixUp()({"images": np.ones((2, 4, 4, 3)), "labels": np.eye(2)})["labels"].shape
    (2, 2)
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(f"MixUp: alpha must be a number above 0, got {alpha!r}")
        self.alpha = alpha

    def _draw(self, size: Size, seed: Any) -> Transformation:
        return {
            "mix_weight": random.beta((size.batch,), self.alpha, self.alpha, seed=seed),
            "permutation_order": _permutation(size.batch, seed),
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        return self._mixed(images, transformation)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        order = transformation["permutation_order"]
        both = {key: [boxes[key], ops.take(boxes[key], order, axis=0)] for key in ("boxes", "labels")}
        return {**boxes, **{key: ops.concatenate(parts, axis=1) for key, parts in both.items()}}

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self._mixed(segmentation_masks, transformation) if training else segmentation_masks


@exported("keras.layers")
class CutMix(_Mixing):
    """In training, puts a box of another image of the batch into each image.

    The box has the part 1 - w of the area, w of beta(a, a) with a drawn between 0 and factor, or between two
    given bounds in [0, 1]. Labels (batch, classes) are mixed by what is left of each image's area; masks are
    cut as images are. A single image stays as it is. Yun et al., "CutMix", 2019.

    Raises ValueError for other values, NotImplementedError for bounding boxes.

    >>> hornbeam.layers.CutMix()({"images": np.ones((2, 4, 4, 3)), "labels": np.eye(2)})["labels"].shape
    (2, 2)
    """

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("CutMix", "factor", factor, 0.0)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        alpha = random.uniform((), *self.factor, seed=seed) + 1e-6
        part = ops.sqrt(1 - random.beta((size.batch,), alpha, alpha, seed=seed))
        x0, x1 = random_span(size.width, part, seed)
        y0, y1 = random_span(size.height, part, seed)
        area = (x1 - x0) * (y1 - y0) / (size.width * size.height)
        return {
            "permutation_order": _permutation(size.batch, seed),
            "batch_masks": self._from_last(inside(size, x0, x1, y0, y1)),
            "mix_weight": ops.reshape(1 - area, (-1, 1, 1, 1)),
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        others = ops.take(images, transformation["permutation_order"], axis=0)
        # One channel of the box says it all.
        cut = self._to_last(transformation["batch_masks"])[..., :1]
        return ops.where(cut, others, images)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        raise NotImplementedError(
            f"{self.describe()}: boxes of images that are cut into others are not there"
        )
