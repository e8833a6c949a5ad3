"""A `DataReport` as a picture, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.visualization.files import blank_figure, save_figure

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport

_ACROSS = 12


def draw(look: DataReport, path: Path) -> Path:
    """Values and classes above, pictures or histograms of features below. Raises ImportError without
    matplotlib."""
    rows = _picture_rows(look)
    figure = blank_figure("a picture of data", (11, 3.2 + 0.95 * max(len(rows), 3)))
    parts: Any = figure.subfigures(2, 1, height_ratios=[3, max(len(rows), 3)])
    upper, lower = parts
    upper.suptitle(f"{look.samples:,} samples", fontsize=11)
    left, right = upper.subplots(1, 2)
    _histogram(left, np.concatenate([np.empty(0), *(v.reshape(-1) for v in look.values.values())]))
    left.set_title("all values of x", fontsize=9)
    _bars(right, look)
    if rows:
        grid = lower.subplots(len(rows), _ACROSS, squeeze=False)
        for line, (name, pictures, titles) in zip(grid, rows, strict=True):
            _strip(line, name, pictures, titles)
    else:
        columns = [(name, v.reshape(len(v), -1)) for name, v in look.values.items()]
        features = [
            (name if v.shape[1] == 1 else f"{name}, feature {i}", v[:, i])
            for name, v in columns
            for i in range(v.shape[1])
        ][:12]
        for axes, (name, values) in zip(
            lower.subplots(3, 4).reshape(-1), [*features, *[("", None)] * 12], strict=False
        ):
            axes.set_title(name, fontsize=8)
            axes.set_axis_off() if values is None else _histogram(axes, values)
    return save_figure(
        figure, path, "A look at the data", f"{look.samples:,} samples: values, classes, pictures", dpi=110
    )


def _picture_rows(look: DataReport) -> list[tuple[str, np.ndarray, list[str]]]:
    rows: list[tuple[str, np.ndarray, list[str]]] = [
        (name, p[:_ACROSS], []) for name, p in look.pictures.items()
    ]
    if len(look.doubtful) and look.classes is not None and look.suspicious:
        names = look.classes.names
        titles = [f"{names[s.label]}, or {names[s.neighbors]}?" for s in look.suspicious]
        rows.append(("doubtful", look.doubtful[:_ACROSS], titles[:_ACROSS]))
    return rows


def _strip(line: Any, name: str, pictures: np.ndarray, titles: list[str]) -> None:
    for index, axes in enumerate(line):
        axes.set_axis_off()
        if index < len(pictures):
            picture = pictures[index]
            grey = picture.ndim == 2 or picture.shape[-1] == 1
            if grey:
                axes.imshow(picture.reshape(picture.shape[:2]), cmap="gray")
            else:
                axes.imshow(unit(picture))
            if titles:
                axes.set_title(titles[index], fontsize=7)
    if name:
        line[0].text(-0.15, 0.5, name, transform=line[0].transAxes, ha="right", va="center", fontsize=9)


def unit(picture: np.ndarray) -> np.ndarray:
    """Values as imshow takes them: 0 to 1."""
    wide = picture.astype(np.float32)
    low, high = float(wide.min()), float(wide.max())
    if low < 0:
        return (wide - low) / max(high - low, 1e-6)
    return wide / 255 if high > 1 else wide


def _histogram(axes: Any, values: np.ndarray) -> None:
    values = values.astype(np.float64)
    axes.hist(values[np.isfinite(values)], bins=40, color="#4477aa")
    axes.tick_params(labelsize=7)


def _bars(axes: Any, look: DataReport) -> None:
    axes.tick_params(labelsize=7)
    if look.classes is not None:
        axes.bar(look.classes.names[:40], look.classes.counts[:40], color="#4477aa")
        axes.set_title("samples of each class", fontsize=9)
        if max(map(len, look.classes.names)) > 4:
            axes.tick_params(axis="x", rotation=60)
    else:
        axes.set_axis_off()
