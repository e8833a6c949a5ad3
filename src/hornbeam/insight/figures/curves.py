"""Curves of a training, and slices of the loss around the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.validation import check_int, check_positive
from hornbeam.core.jit import jit
from hornbeam.insight.ablation import untouched
from hornbeam.visualization.figure import Figure, ImagePanel, LinePanel, saved


def plot_history(history: Any, *, path: str | Path | None = None) -> Figure:
    """The metrics of a training by epoch, training and validation together; the epoch with the lowest
    validation loss is marked.

    history: what `fit` returned, its dict of lists, or a model that was trained. path: write the figure
    there. `data`: the dict. Raises ValueError for what holds no epochs.

    >>> plot_history(model.fit(x, y, epochs=5), path="history.svg")  # doctest: +SKIP
    """
    logs = _logs(history)
    names = [name for name in logs if not name.startswith("val_")]
    names += [name[4:] for name in logs if name.startswith("val_") and name[4:] not in names]
    panels, words = [], []
    for name in sorted(names, key=lambda n: (n != "loss", n)):
        lines = {}
        for label, key in (("training", name), ("validation", f"val_{name}")):
            if key in logs:
                values = np.asarray(logs[key], float)
                lines[label] = (np.arange(1, len(values) + 1), values)
                words.append(f"{key} from {values[0]:.4g} to {values[-1]:.4g}")
        marked = None
        if name == "loss" and "validation" in lines:
            best = int(np.argmin(lines["validation"][1]))
            marked = (best + 1.0, float(lines["validation"][1][best]), f"lowest, epoch {best + 1}")
        panels.append(LinePanel(lines, name, ("epoch", name), marked))
    epochs = max(len(values) for values in logs.values())
    alt = f"Metrics of {epochs} epochs: {'; '.join(words)}."
    return saved(Figure("Training", alt, panels, min(len(panels), 2), dict(logs)), path)


def _logs(history: Any) -> Mapping[str, list[float]]:
    found = history
    while found is not None and not isinstance(found, Mapping):
        found = getattr(found, "history", None)
    logs = {
        name: values for name, values in (found or {}).items() if len(np.shape(values)) == 1 and len(values)
    }
    if not logs:
        raise ValueError("there are no epochs to draw: pass what fit() returned, or its history")
    return logs


def loss_landscape(
    model: Any,
    x: Any,
    y: Any,
    *,
    dimensions: int = 1,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
    batch_size: int = 256,
    path: str | Path | None = None,
) -> Figure:
    """The loss along one or two random directions through the weights, each filter of a direction as long as
    the filter of the weights that it is added to (the last axis counts filters; biases and scales stay).

    x, y: arrays. dimensions: 1 for a curve, 2 for a map. span: how far to go, 1 doubles the norm at the most.
    points: along each direction, odd so that the weights themselves are one of them. seed: of the directions.
    path: write the figure there. `data`: {"steps": (points,), "losses": (points,) or (points, points)}.
    Weights, metrics and random states are afterwards as they were. Raises ValueError for a model that is not
    compiled, or other dimensions.

    Li et al. 2018, https://arxiv.org/abs/1712.09913.

    >>> loss_landscape(model, x[:1000], y[:1000], path="landscape.png")  # doctest: +SKIP
    """
    model._require_compiled("loss_landscape")
    if dimensions not in (1, 2):
        raise ValueError(f"dimensions must be 1 or 2, got {dimensions!r}")
    points, span = check_int("points", points, 3), check_positive("span", span)
    steps = np.linspace(-span, span, points)
    variables = model.trainable_variables
    start = [np.array(variable) for variable in variables]
    rng = np.random.default_rng(seed)
    ways = [directions(start, rng) for _ in range(dimensions)]
    grid = np.stack(np.meshgrid(*[steps] * dimensions, indexing="ij"), -1).reshape(-1, dimensions)
    kept = [(variable, np.array(variable)) for variable in (*model.variables, *model.metrics_variables)]
    losses = []
    with untouched():
        try:
            loss = _loss_of(model, x, y, batch_size)
            for place in grid:
                for i, variable in enumerate(variables):
                    moved = start[i] + sum(a * way[i] for a, way in zip(place, ways, strict=True))
                    variable.assign(moved.astype(start[i].dtype))
                losses.append(loss())
        finally:
            for variable, value in kept:
                variable.assign(value)
    values = np.array(losses).reshape((points,) * dimensions)
    data = {"steps": steps, "losses": values}
    here = f"{values[(points // 2,) * dimensions]:.4g}"
    alt = f"Loss along {dimensions} random direction(s): {here} in the middle, up to {np.nanmax(values):.4g}."
    title = "Loss around the weights"
    if dimensions == 1:
        panel: Any = LinePanel({"loss": (steps, values)}, "", ("step along the direction", "loss"))
    else:
        logs = np.log10(np.maximum(values, 1e-12))
        names = [f"{step:.2g}" if i % max(points // 4, 1) == 0 else "" for i, step in enumerate(steps)]
        panel = ImagePanel(
            logs, "log10 of the loss", "heat", rows=names, columns=names, axes=("second", "first")
        )
    return saved(Figure(title, alt, [panel], 1, data), path)


def directions(weights: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """A random direction with filters as long as those of the weights; 0 for vectors."""
    found = []
    for weight in weights:
        if weight.ndim < 2:
            found.append(np.zeros_like(weight, float))
            continue
        way = rng.normal(size=weight.shape)
        axes = tuple(range(weight.ndim - 1))
        length = np.sqrt((weight.astype(float) ** 2).sum(axes, keepdims=True))
        own = np.sqrt((way**2).sum(axes, keepdims=True))
        found.append(way * length / np.where(own > 0, own, 1.0))
    return found


def _loss_of(model: Any, x: Any, y: Any, batch_size: int) -> Any:
    """The mean loss of all samples with the present weights, in inference."""
    count = len(tree.flatten(x)[0])
    size = min(check_int("batch_size", batch_size, 1), count)

    def run(inputs: Any, targets: Any) -> Any:
        outputs = model(inputs, training=False)
        return model.compute_loss(x=inputs, y=targets, y_pred=outputs, training=False)

    step = jit(run)

    def rows(data: Any, begin: int) -> Any:
        return tree.map_structure(lambda part: np.asarray(part)[begin : begin + size], data)

    def mean() -> float:
        total = 0.0
        for begin in range(0, count, size):
            total += float(step(rows(x, begin), rows(y, begin))) * min(size, count - begin)
        return total / count

    return mean
