"""A `DataReport` as a figure, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.visualization.files import blank_figure, save_figure

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport

_COLUMNS = 12


def draw(report: DataReport, path: Path) -> Path:
    """Draw values and classes above, images or histograms of features below.

    Raises ImportError without matplotlib.
    """
    rows = _image_rows(report)
    figure = blank_figure("a figure of data", (11, 3.2 + 0.95 * max(len(rows), 3)))
    parts: Any = figure.subfigures(2, 1, height_ratios=[3, max(len(rows), 3)])
    upper, lower = parts
    upper.suptitle(f"{report.samples:,} samples", fontsize=11)
    left, right = upper.subplots(1, 2)
    _histogram(left, np.concatenate([np.empty(0), *(v.reshape(-1) for v in report.values.values())]))
    left.set_title("all values of x", fontsize=9)
    _class_bars(right, report)
    if rows:
        grid = lower.subplots(len(rows), _COLUMNS, squeeze=False)
        for axes_row, (name, images, titles) in zip(grid, rows, strict=True):
            _image_row(axes_row, name, images, titles)
    else:
        _feature_histograms(lower, report)
    description = f"{report.samples:,} samples: values, classes, images"
    return save_figure(figure, path, "Data before training", description, dpi=110)


def _feature_histograms(figure: Any, report: DataReport) -> None:
    columns = [(name, v.reshape(len(v), -1)) for name, v in report.values.items()]
    features = [
        (name if v.shape[1] == 1 else f"{name}, feature {i}", v[:, i])
        for name, v in columns
        for i in range(v.shape[1])
    ][:12]
    grid = figure.subplots(3, 4).reshape(-1)
    for axes, (name, values) in zip(grid, [*features, *[("", None)] * 12], strict=False):
        axes.set_title(name, fontsize=8)
        axes.set_axis_off() if values is None else _histogram(axes, values)


def _image_rows(report: DataReport) -> list[tuple[str, np.ndarray, list[str]]]:
    rows: list[tuple[str, np.ndarray, list[str]]] = [
        (name, images[:_COLUMNS], []) for name, images in report.images.items()
    ]
    if len(report.suspicious_images) and report.classes is not None and report.suspicious:
        names = report.classes.names
        titles = [f"{names[s.label]}, or {names[s.neighbors]}?" for s in report.suspicious]
        rows.append(("suspicious", report.suspicious_images[:_COLUMNS], titles[:_COLUMNS]))
    return rows


def _image_row(axes_row: Any, name: str, images: np.ndarray, titles: list[str]) -> None:
    for index, axes in enumerate(axes_row):
        axes.set_axis_off()
        if index < len(images):
            image = images[index]
            if image.ndim == 2 or image.shape[-1] == 1:
                axes.imshow(image.reshape(image.shape[:2]), cmap="gray")
            else:
                axes.imshow(scale_to_unit(image))
            if titles:
                axes.set_title(titles[index], fontsize=7)
    if name:
        first = axes_row[0]
        first.text(-0.15, 0.5, name, transform=first.transAxes, ha="right", va="center", fontsize=9)


def scale_to_unit(image: np.ndarray) -> np.ndarray:
    """Scale pixels to 0 ... 1, as imshow takes them."""
    values = image.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < 0:
        return (values - low) / max(high - low, 1e-6)
    return values / 255 if high > 1 else values


def _histogram(axes: Any, values: np.ndarray) -> None:
    values = values.astype(np.float64)
    axes.hist(values[np.isfinite(values)], bins=40, color="#4477aa")
    axes.tick_params(labelsize=7)


def _class_bars(axes: Any, report: DataReport) -> None:
    axes.tick_params(labelsize=7)
    if report.classes is not None:
        axes.bar(report.classes.names[:40], report.classes.counts[:40], color="#4477aa")
        axes.set_title("samples of each class", fontsize=9)
        if max(map(len, report.classes.names)) > 4:
            axes.tick_params(axis="x", rotation=60)
    else:
        axes.set_axis_off()
