"""Learning-rate finder: a range test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.kernel import in_kernel
from hornbeam._internal.terminal import columns, folded
from hornbeam._internal.validation import check_int, check_number
from hornbeam.core.variable import Variable
from hornbeam.distribution.processes import is_first
from hornbeam.engines import current_engine
from hornbeam.random import host_permutation, random_state, set_random_state
from hornbeam.training.array_data import ArrayData
from hornbeam.training.batches import global_signature
from hornbeam.training.callbacks.base import rated_optimizers
from hornbeam.training.check_arguments import check_class_weight
from hornbeam.training.packing import Signature
from hornbeam.training.sources import make_data
from hornbeam.training.step import Step
from hornbeam.training.steps import host_part, training_state
from hornbeam.training.stream_data import StreamData
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import LinePanel
from hornbeam.visualization.terminal import render

if TYPE_CHECKING:
    import matplotlib.figure

    from hornbeam._internal.typing import Tree
    from hornbeam.core.typing import DataLike
    from hornbeam.models import Model
    from hornbeam.optimizers import Optimizer

# Steps between two tests for a diverging loss.
_CHUNK = 10
# Steps before and after one that the smoothed curve averages with it: a mean of earlier ones alone would
# shift the curve to rates that are several times too large.
_AROUND = 4
# Height of the chart in a terminal.
_TEXT_ROWS = 8


@dataclass(frozen=True, repr=False)
class RateCurve:
    """Result of `lr_find`.

    Attributes:
        rates: Learning rates, (steps,); fewer if the test stopped early.
        losses: Loss of one training step at each rate, (steps,).
        smoothed: Losses averaged over neighboring steps, (steps,).
        suggestion: A rate to train with, None if the loss fell at no rate.
        steepest: Rate at which the smoothed loss fell fastest.
        lowest: Rate with the lowest smoothed loss; above it training becomes worse.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | Any
    steepest: float | None
    lowest: float | None

    def __str__(self) -> str:
        """Return a chart of block characters, and the suggestion."""
        chart = render(Figure("", "", [self._panel({"smoothed": (self.rates, self.smoothed)})]))
        return "\n".join([chart.strip("\n"), folded(self.sentence(), columns())])

    def __repr__(self) -> str:
        return f"<RateCurve of {len(self.rates)} rates: {self.sentence()}>"

    def _repr_html_(self) -> str:
        return self.figure._repr_html_()

    def sentence(self) -> str:
        """Return the suggestion in words."""
        if self.suggestion is None or self.lowest is None:
            return (
                f"The loss fell at no rate from {self.rates[0]:.1g} to {self.rates[-1]:.1g}: try other "
                "bounds or more steps, or inspect the data."
            )
        end = ", the largest that was tried" if self.lowest == self.rates[-1] else ""
        return (
            f"Try {self.suggestion:.2g}: the loss falls fastest at {self.steepest:.2g} and is lowest at "
            f"{self.lowest:.2g}{end}."
        )

    @property
    def figure(self) -> Figure:
        """Losses of all steps and the smoothed losses against the rates."""
        lines = {"loss of a step": (self.rates, self.losses), "smoothed": (self.rates, self.smoothed)}
        return Figure("Loss by learning rate", self.sentence(), [self._panel(lines)], panel_size=(7.0, 4.0))

    def _panel(self, lines: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> LinePanel:
        low, high = _window(self)
        guide = None if self.suggestion is None else (self.suggestion, f"suggested: {self.suggestion:.2g}")
        return LinePanel(
            lines,
            axis_labels=("learning rate", "loss"),
            guide=guide,
            log_x=True,
            y_range=(low, high),
            text_rows=_TEXT_ROWS,
        )

    def plot(self, path: str | os.PathLike[str] | None = None) -> matplotlib.figure.Figure:
        """Draw losses against rates.

        Args:
            path: File that is written; its suffix chooses PNG, SVG or PDF.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        from hornbeam.visualization.matplotlib import write

        drawing = self.figure.to_matplotlib()
        if path is not None:
            write(drawing, path, "Loss by learning rate", self.sentence())
        return drawing


def lr_find(
    model: Model,
    x: DataLike,
    y: Tree = None,
    *,
    batch_size: int | None = None,
    sample_weight: Tree = None,
    class_weight: Mapping[int, float] | None = None,
    min_rate: float = 1e-6,
    max_rate: float = 10.0,
    steps: int = 100,
    seed: int = 0,
    verbose: int = 1,
    plot: str | os.PathLike[str] | None = None,
) -> RateCurve:
    """Find a learning rate for a compiled model, by a range test.

    Weights, optimizer and random states are restored afterwards, bit for bit.

    The model is trained for `steps` updates at rates that grow from one to the next by a factor,

        rate_t = min_rate (max_rate / min_rate)^(t / (steps - 1)),

    in place of the optimizer's own. At first the loss stays, then it falls, then it diverges, where the test
    stops (at four times the lowest smoothed loss, or at NaN). The suggestion is a fifth of the rate with the
    lowest smoothed loss.

    Args:
        model: Compiled model.
        x: Arrays of inputs, as for `fit`, or a Dataset or PyDataset.
        y: Arrays of targets.
        batch_size: Samples of an update, 32 by default.
        sample_weight: One weight for each sample.
        class_weight: Dict from class indices to weights.
        min_rate: First rate.
        max_rate: Last rate.
        steps: Number of updates.
        seed: Seed of the order of samples.
        verbose: 1 prints a chart of block characters and the suggestion; in a notebook the suggestion, since
            the result draws itself.
        plot: File for a figure (needs matplotlib).

    Returns:
        `RateCurve` with rates, losses and the suggestion.

    Raises:
        ValueError: For a model without exactly one learning rate or without a loss, for steps that run
            eagerly, for bounds in the wrong order, and for generators, which cannot be read again.

    Example:
        >>> curve = hornbeam.lr_find(model, x, y)  # doctest: +SKIP
        >>> model.optimizer.learning_rate = curve.suggestion  # doctest: +SKIP

    Source: Leslie N. Smith, "Cyclical Learning Rates for Training Neural Networks", 2015,
    https://arxiv.org/abs/1506.01186 (section 3.3).
    """
    training_state(model).require_compiled("lr_find")
    steps = check_int("steps", steps, 10)
    low, high = check_number("min_rate", min_rate), check_number("max_rate", max_rate)
    if not 0 < low < high:
        raise ValueError(f"lr_find needs 0 < min_rate < max_rate, got {low} and {high}")
    if model.run_eagerly:
        raise ValueError("lr_find() runs compiled steps: compile the model without run_eagerly=True")
    rated = list(rated_optimizers(model.optimizer).values())
    if len(rated) != 1:
        raise ValueError(
            f"lr_find() tests one learning rate; {model.name!r} has {len(rated)} in its optimizer"
            + ("" if rated else ": give compile() an optimizer")
        )
    data = make_data(
        x,
        y,
        sample_weight,
        batch_size,
        "lr_find",
        class_weight=check_class_weight(class_weight),
        run_host_layers=host_part(model),
        steps=steps,
    )
    if isinstance(data, StreamData) and data.once:
        raise ValueError("lr_find() would exhaust a generator: give it arrays or a Dataset")
    losses = _tested(model, rated[0], data, low, (high / low) ** (1 / (steps - 1)), steps, seed)
    curve = _curve(low * (high / low) ** (np.arange(steps) / (steps - 1)), losses)
    if verbose and is_first():
        print(curve.sentence() if in_kernel() else curve)  # a notebook draws the result itself
    if plot is not None and is_first():
        curve.plot(plot)
    return curve


# -- the steps ---------------------------------------------------------------------------------------------


def _tested(
    model: Model,
    optimizer: Optimizer,
    data: ArrayData | StreamData,
    low: float,
    factor: float,
    steps: int,
    seed: int,
) -> np.ndarray:
    """Compute the loss of each step until it diverges; then restore all variables."""
    engine = current_engine()
    rate = Variable(np.float32(low), trainable=False, name="tested_rate")

    def train(batch: Any) -> Any:
        model.reset_metrics()  # so that the loss is that of this batch alone
        logs = model.train_step(batch)
        if "loss" not in logs:
            raise ValueError(
                f"lr_find() needs a loss: the train_step of {model.name!r} logs "
                f"{', '.join(logs) or 'nothing'}"
            )
        rate.assign(rate * factor)
        return logs["loss"]

    with _preserve_order(data), _replaced(optimizer, rate):
        steps_by_signature: dict[Signature, Step] = {}
        values: dict[Variable, np.ndarray] = {}

        def step_for(signature: Signature) -> Step:
            if signature not in steps_by_signature:
                step = Step(train, global_signature(signature, engine), engine)
                steps_by_signature[signature] = step
                for variable in step.traced.variables:
                    values.setdefault(variable, np.array(variable.numpy()))
            return steps_by_signature[signature]

        run = _from_arrays if isinstance(data, ArrayData) else _from_stream
        losses: list[float] = []
        with np.errstate(all="ignore"):
            try:
                for part in run(data, step_for, steps, seed):
                    losses.extend(np.ravel(part).astype("float64").tolist())
                    if _diverged(np.array(losses)):
                        break
            finally:
                for variable, value in values.items():
                    variable.assign(value)
    return np.array(losses)


def _from_arrays(data: Any, step_for: Any, steps: int, seed: int) -> Iterator[Any]:
    """Yield losses of ten steps at a time, on full batches in an order of their own."""
    count = data.samples
    size = min(data.batch_size, count)
    order: list[np.ndarray] = []
    while sum(map(len, order)) < steps * size:
        order.append(host_permutation(seed, count, len(order))[: count - count % size])
    rows = np.concatenate(order)[: steps * size].reshape(steps, size)
    step, buffers = step_for(data.signature(size)), data.buffers(current_engine())
    for start in range(0, steps, _CHUNK):
        yield step.run_many(buffers, rows[start : start + _CHUNK])


def _from_stream(data: Any, step_for: Any, steps: int, seed: int) -> Iterator[Any]:
    for batch in data.epoch(steps):
        yield np.asarray(step_for(batch.signature()).run(batch))


def _diverged(losses: np.ndarray) -> bool:
    smooth = _smoothed(losses)
    if not np.isfinite(losses).all():
        return True
    return len(losses) > _CHUNK and smooth[-1] > 4 * abs(smooth.min()) + 1e-12


@contextmanager
def _preserve_order(data: ArrayData | StreamData) -> Iterator[None]:
    """Restore random states and the shuffles of a Dataset after the block."""
    source: Any = getattr(data, "source", None) or data.cursor.source
    state, orders = random_state(), source._orders() if hasattr(source, "_orders") else None
    try:
        yield
    finally:
        set_random_state(state)
        if orders is not None:
            source._set_orders(orders)


@contextmanager
def _replaced(optimizer: Optimizer, rate: Variable) -> Iterator[None]:
    """Let the optimizer read its rate from a variable inside of the block."""
    previous = optimizer._learning_rate
    optimizer._learning_rate = rate
    try:
        yield
    finally:
        optimizer._learning_rate = previous


# -- the curve ---------------------------------------------------------------------------------------------


def _smoothed(losses: np.ndarray) -> np.ndarray:
    """Average each loss with its neighbors."""
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    at = np.arange(len(losses))
    first, last = np.maximum(at - _AROUND, 0), np.minimum(at + _AROUND + 1, len(losses))
    return (sums[last] - sums[first]) / (last - first)


def _curve(rates: np.ndarray, losses: np.ndarray) -> RateCurve:
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(finite.argmin())
    rates, losses = rates[:end], losses[:end]
    smooth = _smoothed(losses)
    if end < _CHUNK:
        return RateCurve(rates, losses, smooth, None, None, None)
    at = int(smooth.argmin())
    early = losses[: max(at // 3, _CHUNK)]
    # Two standard errors of a smoothed loss: differences within may be noise.
    noise = 2 * float(np.std(early)) / np.sqrt(2 * _AROUND + 1)
    if at < _AROUND or not smooth[at] < early.mean() - max(noise, 0.01 * abs(early.mean())):
        return RateCurve(rates, losses, smooth, None, None, None)
    derivative = np.gradient(smooth, np.log(rates))[at // 2 : at + 1]  # before that it is mostly noise
    steepest, lowest = float(rates[at // 2 + int(derivative.argmin())]), float(rates[at])
    return RateCurve(rates, losses, smooth, lowest / 5, steepest, lowest)


def _window(curve: RateCurve) -> tuple[float, float]:
    """Return the range of losses that a figure shows, without the divergence."""
    smooth = curve.smoothed[np.isfinite(curve.smoothed)]
    if not len(smooth):
        return 0.0, 1.0
    low, first = float(smooth.min()), float(smooth[: max(len(smooth) // 3, 1)].max())
    return low, first + 0.5 * (first - low) + 1e-12
