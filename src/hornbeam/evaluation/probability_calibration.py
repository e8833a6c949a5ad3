"""Calibration: agreement of predicted probabilities with observed frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, check_level, wilson
from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_int
from hornbeam.data import Dataset
from hornbeam.diagnostics.predictions import predictions
from hornbeam.evaluation.display import DrawnReport, EvaluationReport, PlainValues, Table
from hornbeam.evaluation.labels import Labels, from_logits, require_labels, softmax
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import mean_of
from hornbeam.models import Model
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import BarPanel, LinePanel

_SIMULATIONS = 1000


@dataclass(frozen=True)
class Bin(PlainValues):
    """Samples with a confidence in (low, high]: their count, mean confidence, and number of correct ones."""

    low: float
    high: float
    count: int
    confidence: float
    correct: int

    @property
    def accuracy(self) -> float:
        """Fraction correct / count."""
        return self.correct / self.count

    def interval(self, level: float = 0.95) -> Interval:
        """Return the Wilson interval of the accuracy."""
        return wilson(self.correct, self.count, level)


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int) -> tuple[float, list[Bin]]:
    """Return the ECE, sum over equally wide bins of n_b / n |accuracy_b - confidence_b|, and the bins with
    samples.

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([1, 1, 1, 0]), 10)[0].__round__(3)
    0.05
    """
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    sums = np.bincount(index, confidence, bins)
    hits = np.bincount(index, correct.astype(np.float64), bins)
    filled = [
        Bin(k / bins, (k + 1) / bins, int(count[k]), float(sums[k] / count[k]), round(hits[k]))
        for k in range(bins)
        if count[k]
    ]
    return float(np.abs(hits - sums).sum() / len(confidence)), filled


@dataclass(frozen=True, repr=False)
class Calibration(DrawnReport):
    """Calibration of a classifier.

    Args:
        n: Number of samples.
        level: Confidence level of the intervals.
        ece: Expected calibration error.
        ece_by_chance: ECE of a perfectly calibrated model with these confidences: its mean, and its quantile
            at `level`.
        gap: Mean confidence - accuracy.
        gap_interval: Interval of the gap.
        brier: Mean squared distance of the probabilities from the one-hot targets.
        log_loss: Mean -log p of the true class.
        bins: Bins of the reliability curve.
    """

    n: int
    level: float
    ece: float
    ece_by_chance: tuple[float, float]
    gap: float
    gap_interval: Interval | None
    brier: float
    log_loss: float
    bins: Sequence[Bin]
    _properties = ("verdict",)

    @property
    def verdict(self) -> str:
        """ "overconfident", "underconfident", "miscalibrated" (different errors at different confidences) or
        "cannot tell".
        """
        if self.gap_interval is not None and 0.0 not in self.gap_interval:
            return "overconfident" if self.gap > 0 else "underconfident"
        return "miscalibrated" if self.ece > self.ece_by_chance[1] else "cannot tell"

    def headline(self) -> str:
        """Return the verdict, the gap and the ECE."""
        bounds = (
            f"{self.gap_interval.low:+.4f} to {self.gap_interval.high:+.4f}"
            if self.gap_interval
            else "unknown"
        )
        return (
            f"{self.verdict}: mean confidence - accuracy {self.gap:+.4f} "
            f"({self.level:.0%} interval {bounds}); ECE {self.ece:.4f} over {len(self.bins)} bins"
        )

    def tables(self) -> list[Table]:
        """Return a table of the bins."""
        rows = [
            (
                f"{b.low:.2f} to {b.high:.2f}",
                f"{b.count:,}",
                f"{b.confidence:.3f}",
                f"{b.accuracy:.3f}",
                "{:.3f} to {:.3f}".format(*b.interval(self.level)),
            )
            for b in self.bins
        ]
        return [Table("", ("confidence", "n", "mean", "accuracy", "interval"), rows)]

    def remarks(self) -> list[str]:
        """Return the ECE by chance, and advice."""
        remarks = [
            f"a perfectly calibrated model would have an ECE of {self.ece_by_chance[0]:.4f} on average with "
            f"these {self.n:,} samples, and up to {self.ece_by_chance[1]:.4f} by chance"
        ]
        if self.verdict in ("overconfident", "underconfident"):
            remarks.append("temperature(model, x_val, y_val) brings confidences closer to frequencies")
        return remarks

    @property
    def figure(self) -> Figure:
        """The reliability curve with its intervals, and the number of samples below."""
        intervals = [b.interval(self.level) for b in self.bins]
        name = f"accuracy ({self.level:.0%} intervals)"
        curve = LinePanel(
            {name: ([b.confidence for b in self.bins], [b.accuracy for b in self.bins])},
            axis_labels=("", "accuracy"),
            bands={name: ([i.low for i in intervals], [i.high for i in intervals])},
            identity=True,
        )
        # All bins from 0 to 1, so that both axes agree; bins without samples are bars of height 0.
        number = round(1 / (self.bins[0].high - self.bins[0].low))
        heights = [0] * number
        for b in self.bins:
            heights[round(b.low * number)] = b.count
        edges = np.linspace(0, 1, number + 1)
        bars = BarPanel({"samples": heights}, edges=edges, axis_labels=("confidence", "samples"))
        parts = [
            Figure("", "", [curve], panel_size=(5.0, 4.5)), Figure("", "", [bars], panel_size=(5.0, 1.5)),
        ]  # fmt: skip
        return Figure("Reliability", self.headline(), parts=parts)


def calibration(
    model: Model,
    x: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    batch_size: int | None = None,
    *,
    bins: int = 15,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Measure whether the confidence of a classifier agrees with its accuracy.

    Confidence is the probability of the predicted class. The expected calibration error (Guo et al. 2017) is
    the mean distance of confidence and accuracy over equally wide bins. It is above 0 for perfect models too,
    so it is reported with the ECE by chance.

    Args:
        model: Classifier with one output.
        x: Inputs as for `evaluate`.
        y: Targets.
        batch_size: Samples in a batch.
        bins: Number of bins.
        level: Confidence level of the intervals.
        seed: Seed of the simulation and of resampling.

    Returns:
        ECE, gap, Brier score and reliability curve.

    Raises:
        ValueError: If the model is not a classifier with one output.

    Example:
        >>> calibration(model, x_test, y_test).plot("reliability.png")  # doctest: +SKIP
    """
    check_level(level)
    predicted = predictions(model, x, y, batch_size=batch_size, purpose="calibration")
    return calibration_of(require_labels(model, predicted, "calibration()"), bins, level, seed)


def calibration_of(labels: Labels, bins: int = 15, level: float = 0.95, seed: int = 0) -> Calibration:
    """Compute `calibration` of labels that are known."""
    bins = check_int("bins", bins, 1)
    confidence = labels.probabilities[np.arange(len(labels.true)), labels.predicted]
    error, filled = calibration_error(confidence, labels.correct, bins)
    rng = np.random.default_rng(seed)
    by_chance = [
        calibration_error(confidence, rng.random(len(confidence)) < confidence, bins)[0]
        for _ in range(_SIMULATIONS)
    ]
    gaps = mean_of("gap", confidence - labels.correct, np.ones(len(confidence)))
    truth = labels.probabilities[np.arange(len(labels.true)), labels.true]
    squares = (labels.probabilities**2).sum(1) - 2 * truth + 1
    return Calibration(
        len(labels.true),
        level,
        error,
        (float(np.mean(by_chance)), float(np.quantile(by_chance, level))),
        gaps.value,
        interval(gaps, level, rng=rng),
        float(squares.mean()),
        float(-np.log(np.maximum(truth, 1e-12)).mean()),
        filled,
    )


# -- temperature -----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Temperature(EvaluationReport):
    """Temperature scaling: probabilities softmax(log p / T) agree better with frequencies.

    Args:
        value: Temperature T; above 1 the model was overconfident.
        before: Calibration without scaling.
        after: Calibration with scaling.
        binary: True for predictions of one probability.
        logits: True if the model returns logits.
        notes: Limits of the temperature.
    """

    value: float
    before: Calibration
    after: Calibration
    binary: bool
    logits: bool
    notes: Sequence[str] = field(default=())

    def apply(self, probabilities: ArrayLike) -> np.ndarray:
        """Scale probabilities.

        Args:
            probabilities: Array (n, classes), or (n, 1) or (n,) for two classes.

        Returns:
            Array of the same shape, softmax(log p / T).
        """
        array = np.asarray(probabilities, np.float64)
        if array.ndim == 1 or array.shape[-1] == 1:
            return scaled(np.stack([1 - array, array], -1), self.value)[..., 1]
        return scaled(array, self.value)

    def model(self, model: Model) -> Model:
        """Return a new model of the same layers with scaled outputs; logits stay logits.

        Args:
            model: Functional or Sequential model.

        Raises:
            ValueError: If the model is subclassed, so that its graph is unknown: use `apply` on predictions.
        """
        from hornbeam import ops
        from hornbeam.models import Model

        graph: Any = model
        outputs = getattr(graph, "outputs", None)
        if not outputs:
            raise ValueError(f"model {model.name!r} has no graph of layers: use apply() on its predictions")
        (output,) = outputs
        if self.logits:
            calibrated = output / self.value
        elif self.binary:
            calibrated = ops.sigmoid((ops.log(output + 1e-12) - ops.log(1.0 - output + 1e-12)) / self.value)
        else:
            calibrated = ops.softmax(ops.log(output + 1e-12) / self.value)
        return Model(graph.inputs, calibrated, name=f"{model.name}_calibrated")

    def headline(self) -> str:
        """Return the temperature and its meaning."""
        return f"temperature {self.value:.3f}: the model was {'over' if self.value > 1 else 'under'}confident"

    def tables(self) -> list[Table]:
        """Return scores before and after."""
        rows = [
            (name, f"{getattr(self.before, key):.4f}", f"{getattr(self.after, key):.4f}")
            for name, key in (("log loss", "log_loss"), ("ECE", "ece"), ("Brier score", "brier"))
        ]
        return [Table("on the samples to which it was fitted", ("", "before", "after"), rows)]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as numbers, texts, lists and dicts."""
        return {
            "temperature": self.value,
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "notes": list(self.notes),
        }


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Compute softmax(log p / T) along the last axis."""
    return softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature)


def best_temperature(probabilities: np.ndarray, true: np.ndarray) -> float:
    """Return the T between 0.05 and 20 with the smallest mean -log softmax(log p / T)[true].

    The loss is convex in 1 / T, so the root of its derivative, mean(E[log p] - log p[true]), is found by
    bisection.
    """
    logs = np.log(np.maximum(probabilities, 1e-12))
    truth = logs[np.arange(len(true)), true]

    def derivative(inverse: float) -> float:
        return float(((softmax(logs * inverse) * logs).sum(1) - truth).mean())

    low, high = 0.05, 20.0
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if derivative(middle) < 0 else (low, middle)
    return 1 / float(np.sqrt(low * high))


def temperature(
    model: Model,
    x: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    batch_size: int | None = None,
    *,
    bins: int = 15,
) -> Temperature:
    """Fit the temperature that calibrates a classifier (Guo et al. 2017).

    The predicted classes stay. Use validation data: on training data the model is overconfident, and nothing
    may be fitted to the test set (sealed data are refused).

    Args:
        model: Classifier with one output.
        x: Validation inputs as for `evaluate`.
        y: Validation targets.
        batch_size: Samples in a batch.
        bins: Number of bins of the ECE.

    Returns:
        The temperature, which `model` and `apply` use.

    Raises:
        ValueError: If the model is not a classifier with one output.
        SealedError: If the data are sealed.

    Example:
        >>> calibrated = temperature(model, x_val, y_val).model(model)  # doctest: +SKIP
    """
    from hornbeam.data.splits.sealed import check_not_sealed

    check_not_sealed((x, y), "temperature() fits a number to it")
    predicted = predictions(model, x, y, batch_size=batch_size, purpose="")
    labels = require_labels(model, predicted, "temperature()")
    value = best_temperature(labels.probabilities, labels.true)
    after = Labels(labels.true, labels.predicted, scaled(labels.probabilities, value))
    outputs = np.asarray(predicted.y_pred)
    logits = bool(from_logits(model)) or bool((outputs < 0).any() or (outputs > 1 + 1e-6).any())
    notes = []
    if not 0.051 < value < 19.9:
        notes.append(
            "the temperature is at the end of its range: these samples do not determine it (are all of them "
            "correct, or none?)"
        )
    if len(labels.true) < 200:
        notes.append(
            f"{len(labels.true)} samples are few for a temperature: some hundreds determine it to a few "
            "percent"
        )
    return Temperature(
        value,
        calibration_of(labels, bins),
        calibration_of(after, bins),
        outputs.ndim == 1 or outputs.shape[-1] == 1,
        logits,
        notes,
    )
