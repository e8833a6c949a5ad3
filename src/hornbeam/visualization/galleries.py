"""Galleries of images, with their labels, boxes or masks. They need Matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.visualization.overlays import draw_bounding_boxes, draw_segmentation_masks, image_array


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("galleries need Matplotlib: pip install 'hornbeam[plot]'") from error
    return plt


def _bytes(images: np.ndarray, value_range: Sequence[float]) -> np.ndarray:
    low, high = value_range
    return np.clip((images.astype("float32") - low) / (high - low) * 255, 0, 255).astype("uint8")


def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Sequence[float] = (0, 255),
    scale: float = 2,
    path: str | Path | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> Any:
    """Images side by side in rows and columns (a square by default), written to `path`, or shown.

    images: a batch; pixels lie between the two numbers of value_range. y_true, y_pred: classes, written above
    each image with the names that `label_map` has for them. scale: inches for each image. show: False to get
    the Matplotlib figure back; what is written or shown is closed.

    Raises ValueError for both a path and show, or labels without names, ShapeError for what is no batch,
    ImportError without Matplotlib.

    >>> plot_image_gallery(np.zeros((4, 8, 8, 3)), path="gallery.png")  # doctest: +SKIP
    """
    if path is not None and show:
        raise ValueError("plot_image_gallery: give either a path or show=True")
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError("plot_image_gallery: y_true and y_pred need label_map, the names of classes")
    array = _bytes(image_array(images, data_format, "plot_image_gallery"), value_range)
    rows = rows or math.ceil(math.sqrt(len(array)))
    cols = cols or math.ceil(len(array) / rows)
    plt = _pyplot()
    figure, axes = plt.subplots(
        rows, cols, figsize=(cols * scale, rows * scale), frameon=False, layout="tight", squeeze=False
    )
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    for index, axis in enumerate(axes.ravel()):
        axis.axis("off")
        if index < len(array):
            axis.imshow(array[index], cmap="gray", vmin=0, vmax=255)
            axis.set_title(_title(index, y_true, y_pred, label_map or {}), fontsize=8)
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show is False:
        return figure
    else:
        plt.show()
    plt.close(figure)
    return None


def _title(index: int, y_true: Any, y_pred: Any, names: Mapping[int, str]) -> str:
    parts = []
    for word, classes in (("Label", y_true), ("Pred", y_pred)):
        if classes is not None and index < len(classes):
            parts.append(f"{word}: {names.get(int(np.asarray(classes)[index]), 'Unknown')}")
    return "  ".join(parts)


def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Mapping[str, Any] | None = None,
    y_pred: Mapping[str, Any] | None = None,
    value_range: Sequence[float] = (0, 255),
    true_color: Sequence[int] = (0, 188, 212),
    pred_color: Sequence[int] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """A gallery of images with the boxes that are true and those that are predicted.

    y_true, y_pred: boxes, see `draw_bounding_boxes`. class_mapping: names of classes, for the one or the
    other by ground_truth_mapping and prediction_mapping. legend: say which colour is which. The other
    arguments: `plot_image_gallery`.

    Raises ValueError for both legend and legend_handles, and what those two functions raise.

    >>> plot_bounding_box_gallery(images, "xyxy", y_true=boxes, legend=True)  # doctest: +SKIP
    """
    if legend and legend_handles:
        raise ValueError("plot_bounding_box_gallery: give either legend=True or legend_handles")
    array = _bytes(image_array(images, data_format, "plot_bounding_box_gallery"), value_range)
    mappings = (ground_truth_mapping or class_mapping, prediction_mapping or class_mapping)
    for boxes, color, mapping in zip((y_true, y_pred), (true_color, pred_color), mappings, strict=True):
        if boxes is not None:
            array = draw_bounding_boxes(
                array,
                boxes,
                bounding_box_format,
                class_mapping=mapping,
                color=color,
                line_thickness=line_thickness,
                text_thickness=text_thickness or line_thickness,
                font_scale=font_scale,
                data_format="channels_last",
            )
    if legend:
        _pyplot()
        from matplotlib.patches import Patch

        legend_handles = [
            Patch(color=f"#{bytes(color).hex()}", label=label)
            for color, label in ((true_color, "Ground Truth"), (pred_color, "Prediction"))
        ]
    return plot_image_gallery(
        array, legend_handles=legend_handles, rows=rows, cols=cols, data_format="channels_last", **kwargs
    )


def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int,
    value_range: Sequence[float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """A gallery with a row for each image: the image, with its true mask, with its predicted mask.

    y_true, y_pred: masks (n, h, w, 1), or None; how they are drawn: `draw_segmentation_masks`. The other
    arguments: `plot_image_gallery`.

    Raises what those two functions raise.

    >>> plot_segmentation_mask_gallery(images, 3, y_true=masks)  # doctest: +SKIP
    """
    array = _bytes(image_array(images, data_format, "plot_segmentation_mask_gallery"), value_range)
    columns = [array]
    for masks in (y_true, y_pred):
        if masks is not None:
            whole = image_array(masks, data_format, "plot_segmentation_mask_gallery").astype("int32")
            drawn = draw_segmentation_masks(
                array, whole, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
            )
            columns.append(np.clip(drawn, 0, 255).astype("uint8"))
    panels = np.stack(columns, axis=1).reshape(-1, *array.shape[1:])
    return plot_image_gallery(
        panels, rows=len(array), cols=len(columns), data_format="channels_last", **kwargs
    )
