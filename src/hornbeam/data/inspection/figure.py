"""Figures of a `DataReport`: values, classes, and images or histograms of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import BarPanel, ImagePanel, Panel, displayable, histogram

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport

# Images in a row, classes and features that are drawn.
_IMAGES, _CLASSES, _FEATURES = 12, 40, 12


def report_figure(report: DataReport) -> Figure:
    """Draw values and classes above, images or histograms of features below."""
    values = [np.empty(0), *(array.reshape(-1) for array in report.values.values())]
    upper: list[Panel | None] = [histogram(np.concatenate(values), "all values of x"), _class_panel(report)]
    lower = _image_rows(report) or _feature_histograms(report)
    parts = [Figure(f"{report.samples:,} samples", "", upper, 2, panel_size=(5.5, 3.2)), lower]
    return Figure("", f"{report.samples:,} samples: values, classes, images", parts=parts)


def contact_sheet(report: DataReport) -> Figure:
    """Draw the first image of each class."""
    firsts = {name: images[0] for name, images in report.images.items() if len(images)}
    panels = [ImagePanel(displayable(image), name) for name, image in firsts.items()]
    return Figure("", f"An image of each class: {', '.join(firsts)}", panels, columns=5, thumbnails=True)


def _class_panel(report: DataReport) -> BarPanel | None:
    if report.classes is None:
        return None
    counts = report.classes.counts[:_CLASSES]
    return BarPanel({"samples": counts}, report.classes.names[:_CLASSES], title="samples of each class")


def _image_rows(report: DataReport) -> Figure | None:
    """Draw a row of images for each class, and one for suspicious labels."""
    panels: list[Panel | None] = []
    for name, images in report.images.items():
        panels += _image_row(name, images, [])
    if len(report.suspicious_images) and report.classes is not None and report.suspicious:
        names = report.classes.names
        titles = [f"{names[s.label]}, or {names[s.neighbors]}?" for s in report.suspicious]
        panels += _image_row("suspicious", report.suspicious_images, titles)
    return Figure("", "images", panels, _IMAGES, panel_size=(0.92, 0.95)) if panels else None


def _image_row(name: str, images: np.ndarray, titles: list[str]) -> list[Panel | None]:
    row: list[Panel | None] = [
        ImagePanel(
            displayable(image),
            titles[index] if index < len(titles) else "",
            axis_labels=("", name if index == 0 else ""),
        )
        for index, image in enumerate(images[:_IMAGES])
    ]
    return row + [None] * (_IMAGES - len(row))


def _feature_histograms(report: DataReport) -> Figure:
    columns = [(name, array.reshape(len(array), -1)) for name, array in report.values.items()]
    features = [
        (name if array.shape[1] == 1 else f"{name}, feature {index}", array[:, index])
        for name, array in columns
        for index in range(min(array.shape[1], _FEATURES))
    ]
    panels: list[Panel | None] = [histogram(values, name) for name, values in features[:_FEATURES]]
    return Figure("", "histograms of features", panels, 4, panel_size=(2.75, 1.1))
