"""Galleries of images with their labels, boxes or masks, drawn by Matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.visualization.figure import Figure
from hornbeam.visualization.matplotlib import draw, pyplot
from hornbeam.visualization.overlays import draw_bounding_boxes, draw_segmentation_masks, image_batch
from hornbeam.visualization.panels import ImagePanel

if TYPE_CHECKING:
    import matplotlib.figure

    from hornbeam._internal.typing import ArrayLike, Tree


def plot_image_gallery(
    images: ArrayLike,
    y_true: ArrayLike | None = None,
    y_pred: ArrayLike | None = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Sequence[float] = (0, 255),
    scale: float = 2,
    path: str | Path | None = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Sequence[Any] | None = None,
    data_format: str | None = None,
) -> matplotlib.figure.Figure | None:
    """Draw images in rows and columns, and write them into a file or show them.

    Args:
        images: Batch of images (n, h, w, c).
        y_true: Integers (n,), the true classes, written above the images.
        y_pred: Integers (n,), the predicted classes, written above the images.
        label_map: Names of classes.
        rows: Number of rows; the grid is square by default.
        cols: Number of columns.
        value_range: Smallest and largest value of pixels.
        scale: Inches for each image.
        path: File to write instead of showing the gallery.
        show: False to return the Matplotlib figure.
        transparent: True for a transparent background in the file.
        dpi: Resolution of the file, in dots per inch.
        legend_handles: Matplotlib artists for a legend below the images.
        data_format: "channels_last" or "channels_first", the global setting by default.

    Returns:
        The open Matplotlib figure with `show=False`, else None; figures that are written or shown are closed.

    Raises:
        ValueError: If both `path` and `show` are given, or classes without `label_map`.
        ShapeError: If `images` is not a batch of images.
        ImportError: If Matplotlib is not installed (extra `plot`).

    Example:
        >>> plot_image_gallery(np.zeros((4, 8, 8, 3)), path="gallery.png")  # doctest: +SKIP
    """
    if path is not None and show:
        raise ValueError("plot_image_gallery: give either a path or show=True")
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError("plot_image_gallery: y_true and y_pred need label_map, the names of classes")
    batch = _to_uint8(image_batch(images, data_format, "plot_image_gallery"), value_range)
    rows = rows or math.ceil(math.sqrt(len(batch)))
    cols = cols or math.ceil(len(batch) / rows)
    plt = pyplot("a gallery")
    panels: list[ImagePanel | None] = [
        ImagePanel(
            image[..., 0] if image.shape[-1] == 1 else image,
            _title(index, y_true, y_pred, label_map or {}),
            low=0,
            high=255,
        )
        for index, image in enumerate(batch[: rows * cols])
    ]
    panels += [None] * (rows * cols - len(panels))
    gallery = Figure("", f"{len(batch)} images", panels, cols, panel_size=(scale, scale))
    canvas = plt.figure(figsize=(cols * scale, rows * scale), frameon=False, layout="tight")
    draw(gallery, canvas)
    if legend_handles is not None:
        canvas.legend(handles=legend_handles, loc="lower center")
    if path is not None:
        canvas.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show is False:
        return canvas
    else:
        plt.show()
    plt.close(canvas)
    return None


def _to_uint8(images: np.ndarray, value_range: Sequence[float]) -> np.ndarray:
    low, high = value_range
    return np.clip((images.astype("float32") - low) / (high - low) * 255, 0, 255).astype("uint8")


def _title(index: int, y_true: Any, y_pred: Tree, names: Mapping[int, str]) -> str:
    parts = []
    for word, classes in (("Label", y_true), ("Pred", y_pred)):
        if classes is not None and index < len(classes):
            parts.append(f"{word}: {names.get(int(np.asarray(classes)[index]), 'Unknown')}")
    return "  ".join(parts)


def plot_bounding_box_gallery(
    images: ArrayLike,
    bounding_box_format: str,
    y_true: Mapping[str, ArrayLike] | None = None,
    y_pred: Mapping[str, ArrayLike] | None = None,
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
    legend_handles: Sequence[Any] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> matplotlib.figure.Figure | None:
    """Draw a gallery of images with true and predicted bounding boxes.

    Args:
        images: Batch of images (n, h, w, c).
        bounding_box_format: Format of the boxes, such as "xyxy".
        y_true: True boxes, as `draw_bounding_boxes` takes them.
        y_pred: Predicted boxes, as `draw_bounding_boxes` takes them.
        value_range: Smallest and largest value of pixels.
        true_color: Red, green and blue of true boxes, 0 to 255.
        pred_color: Red, green and blue of predicted boxes, 0 to 255.
        line_thickness: Thickness of frames in pixels.
        font_scale: Size of letters; 1 is 12 pixels.
        text_thickness: Thickness of letters in pixels, `line_thickness` by default.
        class_mapping: Names of classes.
        ground_truth_mapping: Names of the classes of true boxes, instead of `class_mapping`.
        prediction_mapping: Names of the classes of predicted boxes, instead of `class_mapping`.
        legend: True for a legend of the two colors.
        legend_handles: Matplotlib artists for another legend.
        rows: Number of rows; the grid is square by default.
        cols: Number of columns.
        data_format: "channels_last" or "channels_first", the global setting by default.
        **kwargs: Other arguments of `plot_image_gallery`.

    Returns:
        What `plot_image_gallery` returns.

    Raises:
        ValueError: If both `legend` and `legend_handles` are given.

    Example:
        >>> plot_bounding_box_gallery(images, "xyxy", y_true=boxes, legend=True)  # doctest: +SKIP
    """
    if legend and legend_handles:
        raise ValueError("plot_bounding_box_gallery: give either legend=True or legend_handles")
    batch = _to_uint8(image_batch(images, data_format, "plot_bounding_box_gallery"), value_range)
    mappings = (ground_truth_mapping or class_mapping, prediction_mapping or class_mapping)
    for boxes, color, mapping in zip((y_true, y_pred), (true_color, pred_color), mappings, strict=True):
        if boxes is not None:
            batch = draw_bounding_boxes(
                batch,
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
        pyplot("a gallery")
        from matplotlib.patches import Patch

        legend_handles = [
            Patch(color=f"#{bytes(color).hex()}", label=label)
            for color, label in ((true_color, "Ground Truth"), (pred_color, "Prediction"))
        ]
    return plot_image_gallery(
        batch, legend_handles=legend_handles, rows=rows, cols=cols, data_format="channels_last", **kwargs
    )


def plot_segmentation_mask_gallery(
    images: ArrayLike,
    num_classes: int,
    value_range: Sequence[float] = (0, 255),
    y_true: ArrayLike | None = None,
    y_pred: ArrayLike | None = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> matplotlib.figure.Figure | None:
    """Draw a row for each image: the image, with its true mask, and with its predicted mask.

    Args:
        images: Batch of images (n, h, w, c).
        num_classes: Number of classes that are painted, from class 0 on.
        value_range: Smallest and largest value of pixels.
        y_true: True masks, integers (n, h, w, 1).
        y_pred: Predicted masks, integers (n, h, w, 1).
        color_mapping: Red, green and blue of each class, a fixed palette by default.
        blend: False to replace pixels by colors instead of blending both.
        alpha: Weight of the colors, from 0 to 1.
        ignore_index: Class whose pixels stay as they are.
        data_format: "channels_last" or "channels_first", the global setting by default.
        **kwargs: Other arguments of `plot_image_gallery`.

    Returns:
        What `plot_image_gallery` returns.

    Example:
        >>> plot_segmentation_mask_gallery(images, 3, y_true=masks)  # doctest: +SKIP
    """
    batch = _to_uint8(image_batch(images, data_format, "plot_segmentation_mask_gallery"), value_range)
    columns = [batch]
    for masks in (y_true, y_pred):
        if masks is not None:
            classes = image_batch(masks, data_format, "plot_segmentation_mask_gallery").astype("int32")
            painted = draw_segmentation_masks(
                batch, classes, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last"
            )
            columns.append(np.clip(painted, 0, 255).astype("uint8"))
    cells = np.stack(columns, axis=1).reshape(-1, *batch.shape[1:])
    return plot_image_gallery(
        cells, rows=len(batch), cols=len(columns), data_format="channels_last", **kwargs
    )
