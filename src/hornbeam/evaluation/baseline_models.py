"""Baselines: scores of trivial models. A model that does not beat them has learned little."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.intervals import Interval
from hornbeam._internal.neighbors import nearest
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int
from hornbeam.evaluation.comparison import Difference, difference
from hornbeam.evaluation.display import EvaluationReport, PlainValues, Table
from hornbeam.evaluation.labels import class_indices
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import Statistic, mean_of
from hornbeam.random import host_permutation

# Updates of the linear model, and samples in each.
_UPDATES, _BATCH = 1500, 256


@dataclass(frozen=True)
class Baseline(PlainValues):
    """Score of a trivial model.

    Args:
        name: Name of the model.
        value: Its score.
        interval: Interval of the score.
        seconds: Time of training and prediction.
        comparison: Difference of the evaluated model's score and this one.
    """

    name: str
    value: float
    interval: Interval | None
    seconds: float
    comparison: Difference | None = None


@dataclass(frozen=True, repr=False)
class Baselines(EvaluationReport):
    """Scores of the baselines.

    Args:
        score: "accuracy", or "mean squared error" for regression.
        rows: The baselines.
        model: Score of the evaluated model, if its predictions were given.
        notes: Limits of the scores.
    """

    score: str
    rows: Sequence[Baseline]
    model: Baseline | None = None
    notes: Sequence[str] = field(default=())

    @property
    def best(self) -> Baseline:
        """The baseline with the best score."""
        return (max if self.score == "accuracy" else min)(self.rows, key=lambda row: row.value)

    def headline(self) -> str:
        """Return the best baseline, compared with the model."""
        best = self.best
        if best.comparison is None:
            return f"best baseline: {best.name}, {self.score} {best.value:.4f}"
        words = {"better": "beats", "worse": "is worse than", "cannot tell": "does not measurably beat"}
        return f"the model {words[best.comparison.verdict]} the best baseline, {best.name}"

    def tables(self) -> list[Table]:
        """Return a table of scores."""
        rows = [self._cells(row) for row in (*self.rows, *([self.model] if self.model else ()))]
        return [Table("baselines", ("", self.score, "interval", "the model is", "seconds"), rows)]

    @staticmethod
    def _cells(row: Baseline) -> tuple[str, ...]:
        verdict = f"{row.comparison.verdict} ({row.comparison.value:+.4f})" if row.comparison else ""
        return (row.name, f"{row.value:.4f}", str(row.interval or "unknown"), verdict, f"{row.seconds:.1f}")

    def remarks(self) -> list[str]:
        """Return the headline and the notes."""
        return [*([self.headline()] if self.model else ()), *self.notes]


def baselines(
    x_train: ArrayLike,
    y_train: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    *,
    y_pred: ArrayLike | None = None,
    references: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Baselines:
    """Score trivial models.

    For classes these are the most frequent class, logistic regression and the nearest neighbor; for
    regression the mean, linear regression and the nearest neighbor. Features are flattened and normalized by
    the training data.

    Args:
        x_train: Training inputs, arrays (n, ...).
        y_train: Training targets: integers or one-hot rows for classes, other numbers (n,) or (n, k) for
            regression.
        x: Inputs on which the baselines are scored.
        y: Targets on which the baselines are scored.
        y_pred: Predictions of a model for `x`, which are compared with each baseline sample by sample.
        references: Most training samples among which neighbors are searched.
        level: Confidence level of the intervals.
        seed: Seed of the order of training samples and of resampling.

    Returns:
        The scores.

    Raises:
        ValueError: If the numbers of features differ.

    Example:
        >>> print(baselines(x_train, y_train, x_val, y_val))  # doctest: +SKIP
    """
    references = check_int("references", references, 1)
    points, mean, scale = _normalized(x_train)
    queries = _flat(x)
    if points.shape[1] != queries.shape[1]:
        raise ValueError(f"x_train has {points.shape[1]} features a sample, and x has {queries.shape[1]}")
    queries = (queries - mean) / scale
    train_targets, targets = np.asarray(y_train), np.asarray(y)
    classes = _class_count(train_targets, targets)
    order = host_permutation(seed, len(points))
    points, train_targets = points[order], train_targets[order]
    task: _Classification | _Regression
    if classes:
        task = _Classification(
            points, _class_indices(train_targets, classes), _class_indices(targets, classes), classes
        )
    else:
        task = _Regression(points, _columns(train_targets), _columns(targets))
    near = min(references, len(points))
    notes = [f"neighbors are searched among {near:,} of {len(points):,} training samples"] * (
        near < len(points)
    )
    model_score = None if y_pred is None else task.score(task.predictions_of(np.asarray(y_pred)))
    models: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
        (task.constant_name, task.predict_constant),
        (task.linear_name, task.predict_linear),
        ("nearest neighbor", lambda queries: task.predict_neighbor(queries, near)),
    )
    rows = []
    for name, predict in models:
        start = time.perf_counter()
        score = task.score(predict(queries))
        seconds = time.perf_counter() - start
        rng = np.random.default_rng(seed)
        comparison = None if model_score is None else difference(model_score, score, level, rng=rng)
        rows.append(Baseline(name, score.value, interval(score, level), seconds, comparison))
    model = None
    if model_score is not None:
        model = Baseline("the model", model_score.value, interval(model_score, level), 0.0)
    return Baselines(task.score_name, rows, model, notes)


class _Classification:
    """Baselines of a classifier; predictions are class indices (n,)."""

    score_name, constant_name, linear_name = "accuracy", "most frequent class", "logistic regression"

    def __init__(self, points: np.ndarray, labels: np.ndarray, targets: np.ndarray, classes: int) -> None:
        self.points, self.labels, self.targets, self.classes = points, labels, targets, classes

    def score(self, predictions: np.ndarray) -> Statistic:
        return mean_of("accuracy", predictions == self.targets, sign=1)

    def predictions_of(self, y_pred: np.ndarray) -> np.ndarray:
        if y_pred.ndim == 2 and y_pred.shape[1] > 1:
            return y_pred.argmax(1)
        flat = y_pred.reshape(len(y_pred))
        return flat.astype(np.int64) if flat.dtype.kind in "iu" else (flat > 0.5).astype(np.int64)

    def predict_constant(self, queries: np.ndarray) -> np.ndarray:
        return np.full(len(queries), np.bincount(self.labels).argmax())

    def predict_linear(self, queries: np.ndarray) -> np.ndarray:
        loss = "sparse_categorical_crossentropy"
        return _fit_dense(self.points, self.labels, self.classes, "softmax", loss, queries).argmax(1)

    def predict_neighbor(self, queries: np.ndarray, number: int) -> np.ndarray:
        return self.labels[nearest(queries, self.points[:number], 1)[0][:, 0]]


class _Regression:
    """Baselines of a regression; predictions are numbers (n, k)."""

    score_name, constant_name, linear_name = "mean squared error", "mean", "linear regression"

    def __init__(self, points: np.ndarray, train_targets: np.ndarray, targets: np.ndarray) -> None:
        self.points, self.train_targets, self.targets = points, train_targets, targets

    def score(self, predictions: np.ndarray) -> Statistic:
        errors = ((predictions - self.targets) ** 2).mean(1)
        return mean_of("mean squared error", errors, np.ones(len(predictions)), -1)

    def predictions_of(self, y_pred: np.ndarray) -> np.ndarray:
        return _columns(y_pred)

    def predict_constant(self, queries: np.ndarray) -> np.ndarray:
        return np.repeat(self.train_targets.mean(0, keepdims=True), len(queries), 0)

    def predict_linear(self, queries: np.ndarray) -> np.ndarray:
        # Ridge regression; the penalty is so small that it only resolves directions without data.
        mean = self.train_targets.mean(0)
        gram = self.points.T.astype(np.float64) @ self.points
        gram[np.diag_indices_from(gram)] += 1e-3 * len(self.points)
        weights = np.linalg.solve(gram, self.points.T @ (self.train_targets - mean))
        return queries @ weights + mean

    def predict_neighbor(self, queries: np.ndarray, number: int) -> np.ndarray:
        return self.train_targets[nearest(queries, self.points[:number], 1)[0][:, 0]]


def _fit_dense(
    points: np.ndarray, targets: np.ndarray, units: int, activation: str, loss: str, queries: np.ndarray
) -> np.ndarray:
    """Train a dense layer that starts at 0, and return its outputs for `queries`.

    Nothing is drawn from Hornbeam's random state.
    """
    from hornbeam import Sequential, layers
    from hornbeam.optimizers import Adam
    from hornbeam.optimizers.schedules import CosineDecay
    from hornbeam.training.check_fit import own_fit

    model = Sequential([layers.Dense(units, activation, kernel_initializer="zeros")], name="baseline")
    model.compile(Adam(CosineDecay(0.003, _UPDATES, 0.01)), loss)
    size = min(_BATCH, len(points))
    epochs = max(round(_UPDATES * size / len(points)), 1)
    with own_fit():
        model.fit(points, targets, batch_size=size, shuffle=False, verbose=0, epochs=epochs)
    return np.asarray(model.predict(queries, batch_size=1024, verbose=0))


# -- samples as points -----------------------------------------------------------------------------


def _flat(x: Tree) -> np.ndarray:
    parts = [np.asarray(part) for part in tree.flatten(x)]
    return np.concatenate([part.reshape(len(part), -1).astype(np.float32) for part in parts], 1)


def _normalized(x: Tree) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return samples (n, d) with mean 0 and standard deviation 1, the mean and the scale.

    Images and other arrays have one scale, tables one a column.
    """
    flat = _flat(x)
    mean = flat.mean(0, dtype=np.float64).astype(np.float32)
    images = any(np.ndim(part) > 2 for part in tree.flatten(x))
    std: Any = flat.std(dtype=np.float64) if images else flat.std(0, dtype=np.float64)
    scale: Any = np.where(std > 0, std, 1).astype(np.float32)
    return (flat - mean) / scale, mean, scale


def _class_count(train_targets: np.ndarray, targets: np.ndarray) -> int:
    """Return the number of classes, 0 for regression."""
    one_hot = train_targets.shape[1] if train_targets.ndim == 2 and train_targets.shape[1] > 1 else 0
    if one_hot:
        valid = all(class_indices(part, one_hot) is not None for part in (train_targets, targets))
        return one_hot if valid else 0
    flat = [part.reshape(len(part), -1) for part in (train_targets, targets)]
    if any(part.shape[1] != 1 or not (part == np.round(part)).all() or part.min() < 0 for part in flat):
        return 0
    count = int(max(part.max() for part in flat)) + 1
    # Integers that nearly every sample has to itself are counts, not classes.
    return count if count <= max(2, len(train_targets) // 5) else 0


def _class_indices(y: np.ndarray, classes: int) -> np.ndarray:
    indices = class_indices(y, classes)
    assert indices is not None
    return indices


def _columns(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1).astype(np.float64)
