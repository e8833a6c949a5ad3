"""Calibration: does "90% sure" mean right in 90% of the cases?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, check_level, wilson
from hornbeam._internal.validation import check_int
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.labels import Labels, require_labels, softmax
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import mean_of
from hornbeam.visualization.figure import BarPanel, Figure, LinePanel

_SIMULATIONS = 1000


@dataclass(frozen=True)
class Bin:
    """Samples whose confidence lies in (low, high]: how many, their mean confidence, how many are right."""

    low: float
    high: float
    count: int
    confidence: float
    right: int

    @property
    def accuracy(self) -> float:
        """right / count."""
        return self.right / self.count

    def interval(self, level: float = 0.95) -> Interval:
        """Wilson's, of the accuracy."""
        return wilson(self.right, self.count, level)

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))


def expected_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> tuple[float, list[Bin]]:
    """ECE = sum over bins of n_b / n |accuracy_b - confidence_b|, of equally wide bins, and the bins that
    hold samples.

    >>> expected_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([1, 1, 1, 0]), 10)[0].__round__(3)
    0.05
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sure = np.bincount(place, confidence, bins)
    hits = np.bincount(place, right.astype(np.float64), bins)
    made = [
        Bin(k / bins, (k + 1) / bins, int(count[k]), float(sure[k] / count[k]), round(hits[k]))
        for k in range(bins)
        if count[k]
    ]
    return float(np.abs(hits - sure).sum() / len(confidence)), made


@dataclass(frozen=True, repr=False)
class Calibration(EvaluationReport):
    """What `calibration` found.

    error: the ECE. by_chance: the ECE that a perfectly calibrated model would have with these confidences, on
    average and in all but 1 - level of samples. gap: mean confidence - accuracy, and its interval. brier:
    mean squared distance of the probabilities from the truth. log_loss: mean -log p of the true class.
    """

    n: int
    level: float
    error: float
    by_chance: tuple[float, float]
    gap: float
    gap_interval: Interval | None
    brier: float
    log_loss: float
    bins: Sequence[Bin]

    @property
    def verdict(self) -> str:
        """ "too sure", "too unsure", "off in places" (some sure too often, some too seldom) or "cannot
        tell".
        """
        if self.gap_interval is not None and 0.0 not in self.gap_interval:
            return "too sure" if self.gap > 0 else "too unsure"
        return "off in places" if self.error > self.by_chance[1] else "cannot tell"

    def headline(self) -> str:
        found = (
            f"{self.gap_interval.low:+.4f} to {self.gap_interval.high:+.4f}"
            if self.gap_interval
            else "unknown"
        )
        return (
            f"{self.verdict}: mean confidence - accuracy {self.gap:+.4f} "
            f"({self.level:.0%} interval {found}); ECE {self.error:.4f} of {len(self.bins)} bins"
        )

    def tables(self) -> list[Table]:
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
        return [Table("", ("confidence", "n", "mean", "right", "interval"), rows)]

    def remarks(self) -> list[str]:
        said = [
            f"a perfectly calibrated model would have an ECE of {self.by_chance[0]:.4f} on average with "
            f"these {self.n:,} samples, and up to {self.by_chance[1]:.4f} by chance"
        ]
        if self.verdict in ("too sure", "too unsure"):
            said.append("temperature(model, x_val, y_val) brings confidences nearer to what they say")
        return said

    def as_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "level": self.level,
            "verdict": self.verdict,
            "ece": self.error,
            "ece_by_chance": list(self.by_chance),
            "gap": self.gap,
            "gap_interval": tuple(self.gap_interval) if self.gap_interval else None,
            "brier": self.brier,
            "log_loss": self.log_loss,
            "bins": [one.as_dict() for one in self.bins],
        }

    def plot(self, path: str | Path) -> Path:
        """Draw the reliability curve with its intervals, and the number of samples below, into a file.

        Args:
            path: File; its suffix chooses PNG, SVG or PDF.

        Returns:
            The path.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        intervals = [b.interval(self.level) for b in self.bins]
        name = f"accuracy ({self.level:.0%} intervals)"
        curve = LinePanel(
            {name: ([b.confidence for b in self.bins], [b.accuracy for b in self.bins])},
            axis_labels=("", "accuracy"),
            bands={name: ([i.low for i in intervals], [i.high for i in intervals])},
            identity=True,
        )
        # Bins without samples are bars of height 0.
        edges = np.unique([edge for b in self.bins for edge in (b.low, b.high)])
        counts = {b.low: b.count for b in self.bins}
        heights = [counts.get(float(edge), 0) for edge in edges[:-1]]
        bars = BarPanel({"samples": heights}, edges=edges, axis_labels=("confidence", "samples"))
        parts = [
            Figure("", "", [curve], panel_size=(5.0, 4.5)), Figure("", "", [bars], panel_size=(5.0, 1.5)),
        ]  # fmt: skip
        Figure("Reliability", self.headline(), parts=parts).save(path, dpi=110)
        return Path(path)


def calibration(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    *,
    bins: int = 15,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Whether a classifier is as sure as it is right: expected calibration error and reliability curve.

    Confidence is the probability of the predicted class. ECE (Guo et al. 2017) is the mean distance between
    confidence and share of right answers in equally wide bins; it is above 0 for perfect models too, so it is
    stated beside what chance would give them.

    x, y, batch_size: as for `evaluate`. Raises ValueError for what is no classifier with one output.

    >>> calibration(model, x_test, y_test).plot("reliability.png")  # doctest: +SKIP
    """
    from hornbeam.diagnostics.predictions import predictions

    check_level(level)
    found = predictions(model, x, y, batch_size=batch_size, purpose="calibration")
    return calibration_of(require_labels(model, found, "calibration()"), bins, level, seed)


def calibration_of(labels: Labels, bins: int = 15, level: float = 0.95, seed: int = 0) -> Calibration:
    """`calibration` of predictions."""
    bins = check_int("bins", bins, 1)
    confidence = labels.probabilities[np.arange(len(labels.true)), labels.predicted]
    error, made = expected_error(confidence, labels.right, bins)
    rng = np.random.default_rng(seed)
    chance = [
        expected_error(confidence, rng.random(len(confidence)) < confidence, bins)[0]
        for _ in range(_SIMULATIONS)
    ]
    gaps = mean_of("gap", confidence - labels.right, np.ones(len(confidence)))
    truth = labels.probabilities[np.arange(len(labels.true)), labels.true]
    squares = (labels.probabilities**2).sum(1) - 2 * truth + 1
    return Calibration(
        len(labels.true),
        level,
        error,
        (float(np.mean(chance)), float(np.quantile(chance, level))),
        gaps.value,
        interval(gaps, level, rng=rng),
        float(squares.mean()),
        float(-np.log(np.maximum(truth, 1e-12)).mean()),
        made,
    )


# -- temperature -----------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Temperature(EvaluationReport):
    """`value` T: probabilities softmax(log p / T) are nearer to how often the model is right. Above 1 it was
    too sure.
    """

    value: float
    before: Calibration
    after: Calibration
    binary: bool
    logits: bool
    notes: Sequence[str] = field(default=())

    def apply(self, probabilities: Any) -> np.ndarray:
        """softmax(log p / T) of probabilities (n, classes), or the same of p and 1 - p for (n, 1) or (n,)."""
        given = np.asarray(probabilities, np.float64)
        if given.ndim == 1 or given.shape[-1] == 1:
            return scaled(np.stack([1 - given, given], -1), self.value)[..., 1]
        return scaled(given, self.value)

    def model(self, model: Any) -> Any:
        """The model with its outputs scaled, as a new model of the same layers; logits stay logits.

        Raises ValueError for a subclassed model, whose graph is not known: use `apply` on its predictions.
        """
        from hornbeam import ops
        from hornbeam.models import Model

        outputs = getattr(model, "outputs", None)
        if not outputs:
            raise ValueError(f"model {model.name!r} has no graph of layers: use apply() on its predictions")
        (output,) = outputs
        if self.logits:
            made = output / self.value
        elif self.binary:
            made = ops.sigmoid((ops.log(output + 1e-12) - ops.log(1.0 - output + 1e-12)) / self.value)
        else:
            made = ops.softmax(ops.log(output + 1e-12) / self.value)
        return Model(model.inputs, made, name=f"{model.name}_calibrated")

    def headline(self) -> str:
        return f"temperature {self.value:.3f}: the model was too {'sure' if self.value > 1 else 'unsure'}"

    def tables(self) -> list[Table]:
        rows = [
            (name, f"{getattr(self.before, key):.4f}", f"{getattr(self.after, key):.4f}")
            for name, key in (("log loss", "log_loss"), ("ECE", "error"), ("Brier score", "brier"))
        ]
        return [Table("on the samples that it was fitted to", ("", "before", "after"), rows)]

    def remarks(self) -> list[str]:
        return list(self.notes)

    def as_dict(self) -> dict[str, Any]:
        return {
            "temperature": self.value,
            "before": self.before.as_dict(),
            "after": self.after.as_dict(),
            "notes": list(self.notes),
        }


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T) along the last axis."""
    return softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature)


def best_temperature(probabilities: np.ndarray, true: np.ndarray) -> float:
    """The T between 0.05 and 20 with the smallest mean -log softmax(log p / T)[true].

    That is convex in 1 / T, so the zero of its slope, mean(E[log p] - log p[true]), is found by halving.
    """
    logs = np.log(np.maximum(probabilities, 1e-12))
    truth = logs[np.arange(len(true)), true]

    def slope(inverse: float) -> float:
        return float(((softmax(logs * inverse) * logs).sum(1) - truth).mean())

    low, high = 0.05, 20.0
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / float(np.sqrt(low * high))


def temperature(
    model: Any, x: Any, y: Any = None, batch_size: int | None = None, *, bins: int = 15
) -> Temperature:
    """Fit the one number that makes a classifier as sure as it is right (temperature scaling, Guo et al.
    2017).

    x, y, batch_size: validation data, as for `evaluate`: neither what the model learned from, where it is
    surer than it should be, nor the test set, of which nothing may be fitted (sealed data are refused). The
    predicted classes stay.

    Raises ValueError for what is no classifier with one output, SealedError for sealed data.

    >>> calibrated = temperature(model, x_val, y_val).model(model)  # doctest: +SKIP
    """
    from hornbeam.data.splits.sealed import refuse_sealed
    from hornbeam.diagnostics.predictions import predictions
    from hornbeam.evaluation.labels import from_logits

    refuse_sealed((x, y), "temperature() fits a number to it")
    found = predictions(model, x, y, batch_size=batch_size, purpose="")
    labels = require_labels(model, found, "temperature()")
    value = best_temperature(labels.probabilities, labels.true)
    after = Labels(labels.true, labels.predicted, scaled(labels.probabilities, value))
    raw = np.asarray(found.y_pred)
    logits = bool(from_logits(model)) or bool((raw < 0).any() or (raw > 1 + 1e-6).any())
    notes = []
    if not 0.051 < value < 19.9:
        notes.append(
            "the temperature stands at the end of its range: these samples cannot tell it (are all right, or "
            "none?)"
        )
    if len(labels.true) < 200:
        notes.append(
            f"{len(labels.true)} samples are few for a temperature: some hundreds tell it to a few percent"
        )
    return Temperature(
        value,
        calibration_of(labels, bins),
        calibration_of(after, bins),
        raw.ndim == 1 or raw.shape[-1] == 1,
        logits,
        notes,
    )
