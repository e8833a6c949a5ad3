"""Baselines: what one gets for nothing, or nearly so. A model that does not beat them has learned little."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.intervals import Interval
from hornbeam._internal.neighbors import nearest
from hornbeam._internal.validation import check_int
from hornbeam.evaluation.comparison import Difference, difference
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.labels import numbers
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import Statistic, mean_of
from hornbeam.random import host_permutation

# Updates of the linear model, and samples in each.
_UPDATES, _BATCH = 1500, 256


@dataclass(frozen=True)
class Baseline:
    """name, value and interval of its score, seconds that it took; against: the model's score minus this
    one.
    """

    name: str
    value: float
    interval: Interval | None
    seconds: float
    against: Difference | None = None

    def as_dict(self) -> dict[str, Any]:
        """All of it as numbers and texts."""
        return {
            "name": self.name,
            "value": self.value,
            "interval": tuple(self.interval) if self.interval else None,
            "seconds": self.seconds,
            "against": self.against.as_dict() if self.against else None,
        }


@dataclass(frozen=True, repr=False)
class Baselines(EvaluationReport):
    """What `baselines` found: rows by their score ("accuracy", or "mean squared error" for numbers)."""

    score: str
    rows: Sequence[Baseline]
    model: Baseline | None = None
    notes: Sequence[str] = field(default=())

    @property
    def best(self) -> Baseline:
        """The one with the best score."""
        return (max if self.score == "accuracy" else min)(self.rows, key=lambda row: row.value)

    def headline(self) -> str:
        best = self.best
        if best.against is None:
            return f"best baseline: {best.name}, {self.score} {best.value:.4f}"
        words = {"better": "beats", "worse": "is worse than", "cannot tell": "is not seen to beat"}
        return f"the model {words[best.against.verdict]} the best baseline, {best.name}"

    def tables(self) -> list[Table]:
        rows = [self._row(row) for row in (*self.rows, *([self.model] if self.model else ()))]
        return [Table("baselines", ("", self.score, "interval", "the model is", "seconds"), rows)]

    @staticmethod
    def _row(row: Baseline) -> tuple[str, ...]:
        said = f"{row.against.verdict} ({row.against.value:+.4f})" if row.against else ""
        return (row.name, f"{row.value:.4f}", str(row.interval or "unknown"), said, f"{row.seconds:.1f}")

    def remarks(self) -> list[str]:
        return [*([self.headline()] if self.model else ()), *self.notes]

    def as_dict(self) -> dict[str, Any]:
        return {
            "score": self.score,
            "rows": [row.as_dict() for row in self.rows],
            "model": self.model.as_dict() if self.model else None,
            "notes": list(self.notes),
        }


def baselines(
    x_train: Any,
    y_train: Any,
    x: Any,
    y: Any,
    *,
    y_pred: Any = None,
    references: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Baselines:
    """The scores of the most frequent class, logistic regression and the nearest neighbour; of the mean,
    linear regression and the nearest neighbour where y are numbers.

    x_train, y_train: what they learn from, arrays; x, y: what they are measured by. y: class indices or
    one-hot rows for classes, anything else are numbers (n,) or (n, k). y_pred: predictions of a model for x,
    which are then compared with each baseline sample by sample, as `compare` does. references: the most
    training samples among which neighbours are looked for. Features are flattened and brought to mean 0 and
    one scale by the training part.

    Raises ValueError for data that do not fit.

    >>> print(baselines(x_train, y_train, x_val, y_val))  # doctest: +SKIP
    """
    references = check_int("references", references, 1)
    inside, mean, scale = _points(x_train)
    outside = _flat(x)
    if inside.shape[1] != outside.shape[1]:
        raise ValueError(f"training samples have {inside.shape[1]} features, the others {outside.shape[1]}")
    outside = (outside - mean) / scale
    learned, asked = np.asarray(y_train), np.asarray(y)
    classes = _classes(learned, asked)
    order = host_permutation(seed, len(inside))
    inside, learned = inside[order], learned[order]
    if classes:
        task: _Classes | _Numbers = _Classes(
            inside, _labels(learned, classes), _labels(asked, classes), classes
        )
    else:
        task = _Numbers(inside, _columns(learned), _columns(asked))
    mine = None if y_pred is None else task.scores(task.answers_of(np.asarray(y_pred)))
    rows = []
    near = min(references, len(inside))
    notes = [f"neighbours are looked for among {near:,} of {len(inside):,} training samples"] * (
        near < len(inside)
    )
    for name, run in (
        (task.constant_name, task.constant),
        (task.linear_name, task.linear),
        ("nearest neighbour", lambda points: task.neighbour(points, near)),
    ):
        start = time.perf_counter()
        found = task.scores(run(outside))
        seconds = time.perf_counter() - start
        against = None if mine is None else difference(mine, found, level, rng=np.random.default_rng(seed))
        rows.append(Baseline(name, found.value, interval(found, level), seconds, against))
    model = None if mine is None else Baseline("the model", mine.value, interval(mine, level), 0.0)
    return Baselines(task.score, rows, model, notes)


class _Classes:
    """Baselines of a classifier; answers are class indices (n,)."""

    score, constant_name, linear_name = "accuracy", "most frequent class", "logistic regression"

    def __init__(self, points: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int) -> None:
        self.points, self.labels, self.asked, self.classes = points, labels, asked, classes

    def scores(self, answers: np.ndarray) -> Statistic:
        return mean_of("accuracy", answers == self.asked, sign=1)

    def answers_of(self, y_pred: np.ndarray) -> np.ndarray:
        if y_pred.ndim == 2 and y_pred.shape[1] > 1:
            return y_pred.argmax(1)
        flat = y_pred.reshape(len(y_pred))
        return flat.astype(np.int64) if flat.dtype.kind in "iu" else (flat > 0.5).astype(np.int64)

    def constant(self, points: np.ndarray) -> np.ndarray:
        return np.full(len(points), np.bincount(self.labels).argmax())

    def linear(self, points: np.ndarray) -> np.ndarray:
        loss = "sparse_categorical_crossentropy"
        return _trained(self.points, self.labels, self.classes, "softmax", loss, points).argmax(1)

    def neighbour(self, points: np.ndarray, number: int) -> np.ndarray:
        return self.labels[nearest(points, self.points[:number], 1)[0][:, 0]]


class _Numbers:
    """Baselines of a regression; answers are numbers (n, k)."""

    score, constant_name, linear_name = "mean squared error", "mean", "linear regression"

    def __init__(self, points: np.ndarray, targets: np.ndarray, asked: np.ndarray) -> None:
        self.points, self.targets, self.asked = points, targets, asked

    def scores(self, answers: np.ndarray) -> Statistic:
        return mean_of("mean squared error", ((answers - self.asked) ** 2).mean(1), np.ones(len(answers)), -1)

    def answers_of(self, y_pred: np.ndarray) -> np.ndarray:
        return _columns(y_pred)

    def constant(self, points: np.ndarray) -> np.ndarray:
        return np.repeat(self.targets.mean(0, keepdims=True), len(points), 0)

    def linear(self, points: np.ndarray) -> np.ndarray:
        # Least squares with a penalty so small that it only decides what the samples leave open.
        middle = self.targets.mean(0)
        gram = self.points.T.astype(np.float64) @ self.points
        gram[np.diag_indices_from(gram)] += 1e-3 * len(self.points)
        weights = np.linalg.solve(gram, self.points.T @ (self.targets - middle))
        return points @ weights + middle

    def neighbour(self, points: np.ndarray, number: int) -> np.ndarray:
        return self.targets[nearest(points, self.points[:number], 1)[0][:, 0]]


def _trained(
    points: np.ndarray, targets: np.ndarray, units: int, activation: str, loss: str, asked: np.ndarray
) -> np.ndarray:
    """Outputs of one dense layer that starts at 0, for `asked`. Draws nothing from Hornbeam's random
    state.
    """
    from hornbeam import Sequential, layers
    from hornbeam.optimizers import Adam
    from hornbeam.optimizers.schedules import CosineDecay

    model = Sequential([layers.Dense(units, activation, kernel_initializer="zeros")], name="baseline")
    model.compile(Adam(CosineDecay(0.003, _UPDATES, 0.01)), loss)
    size = min(_BATCH, len(points))
    model.fit(points, targets, batch_size=size, shuffle=False, verbose=0,
              epochs=max(round(_UPDATES * size / len(points)), 1))  # fmt: skip
    return np.asarray(model.predict(asked, batch_size=1024, verbose=0))


# -- samples as points -----------------------------------------------------------------------------


def _flat(x: Any) -> np.ndarray:
    parts = [np.asarray(part) for part in tree.flatten(x)]
    return np.concatenate([part.reshape(len(part), -1).astype(np.float32) for part in parts], 1)


def _points(x: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Samples (n, d) with mean 0 and one scale for pictures and the like, each column's own for tables, and
    both.
    """
    flat = _flat(x)
    mean = flat.mean(0, dtype=np.float64).astype(np.float32)
    pictures = any(np.ndim(part) > 2 for part in tree.flatten(x))
    spread: Any = flat.std(dtype=np.float64) if pictures else flat.std(0, dtype=np.float64)
    scale: Any = np.where(spread > 0, spread, 1).astype(np.float32)
    return (flat - mean) / scale, mean, scale


def _classes(learned: np.ndarray, asked: np.ndarray) -> int:
    """How many classes there are, 0 for numbers."""
    one_hot = learned.shape[1] if learned.ndim == 2 and learned.shape[1] > 1 else 0
    if one_hot:
        return one_hot if numbers(learned, one_hot) is not None and numbers(asked, one_hot) is not None else 0
    flat = [part.reshape(len(part), -1) for part in (learned, asked)]
    if any(part.shape[1] != 1 or not (part == np.round(part)).all() or part.min() < 0 for part in flat):
        return 0
    count = int(max(part.max() for part in flat)) + 1
    # Whole numbers of which nearly every sample has its own are counts, not classes.
    return count if count <= max(2, len(learned) // 5) else 0


def _labels(y: np.ndarray, classes: int) -> np.ndarray:
    found = numbers(y, classes)
    assert found is not None
    return found


def _columns(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1).astype(np.float64)
