"""Images with boxes and masks, and galleries of them.

Galleries need the extra `plot` (Matplotlib). Names of classes drawn into images need the extra `image`
(Pillow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

if TYPE_CHECKING:
    from hornbeam.visualization.galleries import plot_bounding_box_gallery as plot_bounding_box_gallery
    from hornbeam.visualization.galleries import plot_image_gallery as plot_image_gallery
    from hornbeam.visualization.galleries import (
        plot_segmentation_mask_gallery as plot_segmentation_mask_gallery,
    )
    from hornbeam.visualization.overlays import draw_bounding_boxes as draw_bounding_boxes
    from hornbeam.visualization.overlays import draw_segmentation_masks as draw_segmentation_masks

_NAMES = {
    "draw_bounding_boxes": "overlays",
    "draw_segmentation_masks": "overlays",
    "plot_bounding_box_gallery": "galleries",
    "plot_image_gallery": "galleries",
    "plot_segmentation_mask_gallery": "galleries",
}

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
