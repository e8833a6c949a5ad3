"""Learning curves, and slices of the loss around the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int, check_positive
from hornbeam.core.jit import jit
from hornbeam.insight.ablation import preserved_state
from hornbeam.insight.arithmetic import count_of
from hornbeam.models import Model
from hornbeam.training.callbacks.base import History
from hornbeam.training.steps import training_state
from hornbeam.visualization.figure import Figure, save_if
from hornbeam.visualization.panels import ImagePanel, LinePanel, Marker


def plot_history(
    history: History | Model | Mapping[str, list[float]], *, path: str | Path | None = None
) -> Figure:
    """Draw the metrics of a training by epoch, training and validation together.

    The epoch with the lowest validation loss is marked.

    Args:
        history: Result of `fit`, its dict of lists, or a trained model.
        path: File that is written.

    Returns:
        Figure whose `data` is the dict of lists.

    Raises:
        ValueError: If the history has no epochs.

    Example:
        >>> plot_history(model.fit(x, y, epochs=5), path="history.svg")  # doctest: +SKIP
    """
    logs = _logs_of(history)
    names = [name for name in logs if not name.startswith("val_")]
    names += [name[4:] for name in logs if name.startswith("val_") and name[4:] not in names]
    panels = [_metric_panel(name, logs) for name in sorted(names, key=lambda n: (n != "loss", n))]
    changes = [
        f"{key} from {values[0]:.4g} to {values[-1]:.4g}"
        for name in sorted(names, key=lambda n: (n != "loss", n))
        for key in (name, f"val_{name}")
        if (values := logs.get(key)) is not None
    ]
    epochs = max(len(values) for values in logs.values())
    alt = f"Metrics of {count_of(epochs, 'epoch')}: {'; '.join(changes)}."
    return save_if(Figure("Training", alt, panels, min(len(panels), 2), dict(logs)), path)


def _metric_panel(name: str, logs: Mapping[str, list[float]]) -> LinePanel:
    lines = {}
    for label, key in (("training", name), ("validation", f"val_{name}")):
        if key in logs:
            values = np.asarray(logs[key], float)
            lines[label] = (np.arange(1, len(values) + 1), values)
    marker = None
    if name == "loss" and "validation" in lines:
        best = int(np.argmin(lines["validation"][1]))
        marker = Marker("validation", best, f"lowest, epoch {best + 1}")
    return LinePanel(lines, name, ("epoch", name), marker)


def _logs_of(history: Any) -> Mapping[str, list[float]]:
    source = history
    while source is not None and not isinstance(source, Mapping):
        source = getattr(source, "history", None)
    logs = {
        name: values for name, values in (source or {}).items() if len(np.shape(values)) == 1 and len(values)
    }
    if not logs:
        raise ValueError("the history has no epochs to draw: pass the result of fit(), or its history")
    return logs


# -- the loss around the weights -----------------------------------------------------------------------------


def loss_landscape(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    *,
    dimensions: int = 1,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
    batch_size: int = 256,
    path: str | Path | None = None,
) -> Figure:
    """Draw the loss along one or two random directions through the weights.

    Each filter of a direction has the norm of the filter of the weights that it is added to; the last axis
    counts filters. Biases and scales stay. Weights, metrics and random states are restored.

    Args:
        model: Compiled model.
        x: Inputs, arrays.
        y: Targets, arrays.
        dimensions: 1 for a curve, 2 for a map.
        span: Largest step in both directions; a step of 1 adds a vector with the norm of the weights.
        points: Number of steps along each direction; the weights themselves are one of them if it is odd.
        seed: Seed of the directions.
        batch_size: Samples in a batch.
        path: File that is written.

    Returns:
        Figure whose `data` is a dict of "steps" (points,) and "losses" (points,) or (points, points).

    Raises:
        ValueError: If the model is not compiled, or for other dimensions.

    Example:
        >>> loss_landscape(model, x[:1000], y[:1000], path="landscape.png")  # doctest: +SKIP

    Source: Li et al. 2018, https://arxiv.org/abs/1712.09913.
    """
    training_state(model).require_compiled("loss_landscape")
    if dimensions not in (1, 2):
        raise ValueError(f"dimensions must be 1 or 2, got {dimensions!r}")
    points, span = check_int("points", points, 3), check_positive("span", span)
    steps = np.linspace(-span, span, points)
    losses = _losses_on_grid(model, x, y, steps, dimensions, seed, batch_size)
    at_weights = f"{losses[(points // 2,) * dimensions]:.4g}"
    alt = (
        f"Loss along {dimensions} random direction(s): {at_weights} in the middle, "
        f"up to {np.nanmax(losses):.4g}."
    )
    panel: LinePanel | ImagePanel
    if dimensions == 1:
        panel = LinePanel({"loss": (steps, losses)}, "", ("step along the direction", "loss"))
    else:
        logs = np.log10(np.maximum(losses, 1e-12))
        names = [f"{step:.2g}" if i % max(points // 4, 1) == 0 else "" for i, step in enumerate(steps)]
        panel = ImagePanel(
            logs, "log10 of the loss", "heat", row_names=names, column_names=names,
            axis_labels=("second", "first"),
        )  # fmt: skip
    data = {"steps": steps, "losses": losses}
    return save_if(Figure("Loss around the weights", alt, [panel], 1, data), path)


def _losses_on_grid(
    model: Model, x: Tree, y: Tree, steps: np.ndarray, dimensions: int, seed: int, batch_size: int
) -> np.ndarray:
    """Return the loss at each combination of steps, and restore the weights."""
    variables = model.trainable_variables
    start = [np.array(variable) for variable in variables]
    rng = np.random.default_rng(seed)
    axes = [directions(start, rng) for _ in range(dimensions)]
    grid = np.stack(np.meshgrid(*[steps] * dimensions, indexing="ij"), -1).reshape(-1, dimensions)
    saved = [(variable, np.array(variable)) for variable in (*model.variables, *model.metrics_variables)]
    losses = []
    with preserved_state():
        try:
            loss = _mean_loss(model, x, y, batch_size)
            for coordinates in grid:
                for i, variable in enumerate(variables):
                    shifted = start[i] + sum(a * axis[i] for a, axis in zip(coordinates, axes, strict=True))
                    variable.assign(shifted.astype(start[i].dtype))
                losses.append(loss())
        finally:
            for variable, value in saved:
                variable.assign(value)
    return np.array(losses).reshape((len(steps),) * dimensions)


def directions(weights: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Draw a direction whose filters have the norms of those of the weights; it is 0 for vectors."""
    parts = []
    for weight in weights:
        if weight.ndim < 2:
            parts.append(np.zeros_like(weight, float))
            continue
        random = rng.normal(size=weight.shape)
        axes = tuple(range(weight.ndim - 1))
        weight_norm = np.sqrt((weight.astype(float) ** 2).sum(axes, keepdims=True))
        random_norm = np.sqrt((random**2).sum(axes, keepdims=True))
        parts.append(random * weight_norm / np.where(random_norm > 0, random_norm, 1.0))
    return parts


def _mean_loss(model: Model, x: Tree, y: Tree, batch_size: int) -> Any:
    """Return a function of nothing: the mean loss of all samples with the current weights, in inference."""
    count = len(tree.flatten(x)[0])
    size = min(check_int("batch_size", batch_size, 1), count)

    def run(inputs: Tree, targets: Any) -> Any:
        outputs = model(inputs, training=False)
        return training_state(model).loss_of_batch(inputs, targets, outputs, None, training=False)

    step = jit(run)

    def rows(data: Any, begin: int) -> Any:
        return tree.map_structure(lambda part: np.asarray(part)[begin : begin + size], data)

    def mean() -> float:
        total = 0.0
        for begin in range(0, count, size):
            total += float(step(rows(x, begin), rows(y, begin))) * min(size, count - begin)
        return total / count

    return mean
