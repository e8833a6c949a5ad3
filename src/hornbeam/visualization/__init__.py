"""Images with boxes and masks, and galleries of them.

Galleries need the extra `plot` (Matplotlib). Names of classes drawn into images need the extra `image`
(Pillow).
"""

from __future__ import annotations

from hornbeam.visualization.galleries import (
    plot_bounding_box_gallery,
    plot_image_gallery,
    plot_segmentation_mask_gallery,
)
from hornbeam.visualization.overlays import draw_bounding_boxes, draw_segmentation_masks

__all__ = [
    "draw_bounding_boxes",
    "draw_segmentation_masks",
    "plot_bounding_box_gallery",
    "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]
