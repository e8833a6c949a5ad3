"""`MaxNumBoundingBoxes`: the same number of boxes for every image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbeam import ops
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.layers.augmentation.base import Boxes, ImageLayer, Transformation
from hornbeam.layers.options import RegularizedLayerOptions


@exported("keras.layers")
class MaxNumBoundingBoxes(ImageLayer):
    """Pad or truncate the boxes of every image to the same number, in training and inference.

    Works on dicts with "images" and "bounding_boxes"; needs `bounding_box_format`.

    Args:
        max_number: Number of boxes.
        fill_value: Value of missing boxes and labels.
        **kwargs: `bounding_box_format`, `data_format`; arguments of `Layer`.

    Raises:
        ValueError: If the number is below 1.

    Example:
        >>> layer = hornbeam.layers.MaxNumBoundingBoxes(3, bounding_box_format="xyxy")
        >>> boxes = {"boxes": np.ones((1, 1, 4)), "labels": np.ones((1, 1))}
        >>> layer({"images": np.ones((1, 4, 4, 3)), "bounding_boxes": boxes})["bounding_boxes"]["boxes"].shape
        (1, 3, 4)
    """

    def __init__(
        self, max_number: int, fill_value: int = -1, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.max_number = check_int("max_number", max_number, minimum=1, where="MaxNumBoundingBoxes")
        self.fill_value = int(fill_value)

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        return images

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Tree:
        return self._move_boxes(bounding_boxes, transformation)

    def _move(self, boxes: Boxes, transformation: Transformation) -> Boxes:
        missing = max(self.max_number - boxes["boxes"].shape[1], 0)

        def fit(x: Any) -> Any:
            widths = [(0, 0), (0, missing), *[(0, 0)] * (x.ndim - 2)]
            return ops.pad(x[:, : self.max_number], widths, constant_values=self.fill_value)

        return {**boxes, **{key: fit(boxes[key]) for key in ("boxes", "labels")}}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.fill_value == -1:  # Keras omits it
            del config["fill_value"]
        return config
