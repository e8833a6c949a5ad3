"""`learning_curve`: score against the number of training samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.intervals import check_level
from hornbeam._internal.naming import abbreviate
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam.data.splits.sealed import check_not_sealed
from hornbeam.diagnostics.predictions import predictions
from hornbeam.evaluation.comparison import CANNOT_TELL, Difference, difference
from hornbeam.evaluation.compiled_metrics import Measurement, measurements
from hornbeam.evaluation.display import DrawnReport, PlainValues, Table
from hornbeam.evaluation.estimates import Estimate
from hornbeam.evaluation.resampling import interval
from hornbeam.models import Model
from hornbeam.random import host_permutation
from hornbeam.training.steps import training_state
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import LinePanel


@dataclass(frozen=True)
class Point(PlainValues):
    """Scores of a model trained on `size` samples: on those, and on the validation samples."""

    size: int
    train: Estimate
    validation: Estimate


@dataclass(frozen=True, repr=False)
class LearningCurve(DrawnReport):
    """Scores against the number of training samples.

    Args:
        metric: Name of the score.
        points: Scores by size.
        last: Difference of the two largest sizes.
        notes: Limits of the scores.
    """

    metric: str
    points: Sequence[Point]
    last: Difference
    notes: Sequence[str] = field(default=())

    def headline(self) -> str:
        """Return the last change, and whether more data are likely to help."""
        small, large = self.points[-2].size, self.points[-1].size
        step = f"from {small:,} to {large:,} samples {self.metric} changed by {self.last.value:+.4f}"
        bounds = f" ({self.last.interval})" if self.last.interval else ""
        advice = {
            "better": "more data are likely to help",
            "worse": "it became worse: check the training before collecting data",
            CANNOT_TELL: "these samples cannot tell whether more data would help",
        }
        return f"{step}{bounds}: {advice.get(self.last.verdict, self.last.verdict)}"

    def tables(self) -> list[Table]:
        """Return a table of all sizes."""
        rows = [
            (
                f"{point.size:,}",
                f"{point.train.value:.4f}",
                f"{point.validation.value:.4f}",
                str(point.validation.interval or "unknown"),
            )
            for point in self.points
        ]
        return [Table(self.metric, ("samples", "training", "validation", "interval"), rows)]

    @property
    def figure(self) -> Figure:
        """Both scores with their intervals against the number of samples."""
        sizes = [point.size for point in self.points]
        estimates = {
            "training": [point.train for point in self.points],
            "validation": [point.validation for point in self.points],
        }
        panel = LinePanel(
            {name: (sizes, [e.value for e in row]) for name, row in estimates.items()},
            axis_labels=("training samples", self.metric),
            bands={name: ([e.low for e in row], [e.high for e in row]) for name, row in estimates.items()},
            log_x=True,
        )
        return Figure("Learning curve", self.headline(), [panel], panel_size=(6.0, 4.0))


def learning_curve(
    build: Callable[[], Model],
    x: ArrayLike,
    y: ArrayLike,
    validation_data: tuple[ArrayLike, ArrayLike],
    sizes: Sequence[float] = (0.1, 0.2, 0.5, 1.0),
    *,
    metric: str | None = None,
    level: float = 0.95,
    seed: int = 0,
    **fit: Any,
) -> LearningCurve:
    """Train new models on growing parts of the data, and score them on the same validation samples.

    The last two sizes are compared sample by sample, as `compare` does. Each size is trained once: `repeat`
    measures the variance over seeds.

    Args:
        build: Function that returns a new compiled model. `set_random_seed(seed)` is called before it.
        x: Inputs, arrays (n, ...) or structures of them.
        y: Targets.
        validation_data: Validation data (x, y).
        sizes: Fractions of the data, or numbers of samples; larger parts contain the smaller ones.
        metric: Metric of the model, by default the accuracy, else the loss.
        level: Confidence level of the intervals.
        seed: Seed of each training, of the order of samples and of resampling.
        **fit: Arguments of `fit`, such as epochs and batch_size.

    Returns:
        The scores.

    Raises:
        ValueError: If fewer than two sizes are valid, or the metric is unknown.
        SealedError: If `validation_data` are sealed.

    Example:
        >>> learning_curve(build, x, y, (x_val, y_val), epochs=5).plot("curve.png")  # doctest: +SKIP
    """
    from hornbeam.utils import set_random_seed

    check_level(level)
    check_not_sealed(validation_data, "learning_curve() validates on it")
    count = len(tree.flatten(x)[0])
    order = host_permutation(seed, count)
    rng = np.random.default_rng(seed)
    points, validation_scores, notes = [], [], []
    for size in _sample_counts(sizes, count):
        part_x, part_y = (_rows(part, np.sort(order[:size])) for part in (x, y))
        set_random_seed(seed)
        model = build()
        training_state(model).require_compiled("fit")
        model.fit(part_x, part_y, **{"verbose": 0, **fit})
        scores = []
        for inputs, targets in ((part_x, part_y), validation_data):
            predicted = predictions(model, inputs, targets, purpose="learning curve")
            measured, missing = measurements(model, predicted)
            notes += [note for note in missing if note not in notes]
            scores.append(_chosen(measured, metric))
        train, validation = (_estimate(score, level, rng) for score in scores)
        points.append(Point(size, train, validation))
        validation_scores.append(scores[1])
    if "steps_per_epoch" not in fit:
        notes.append(
            "larger parts were also trained for more updates, because all sizes had the same number of "
            "epochs: pass steps_per_epoch for equal numbers of updates"
        )
    before, after = (score.statistic for score in validation_scores[-2:])
    assert before is not None
    assert after is not None
    last = difference(after, before, level, rng=rng)
    return LearningCurve(validation_scores[0].name, points, last, notes)


def _rows(structure: Tree, rows: np.ndarray) -> Any:
    return tree.map_structure(lambda part: np.asarray(part)[rows], structure)


def _sample_counts(sizes: Sequence[float], count: int) -> list[int]:
    counts = sorted(
        {round(size * count) if 0 < size <= 1 and not _is_count(size, sizes) else int(size) for size in sizes}
    )
    if len(counts) < 2 or counts[0] < 1 or counts[-1] > count:
        raise ValueError(
            "sizes must be at least two different fractions of the data up to 1.0, or numbers up to "
            f"{count:,}, got {list(sizes)!r}"
        )
    return counts


def _is_count(size: float, sizes: Sequence[float]) -> bool:
    """Return True if 1 means one sample, because other sizes are numbers of samples."""
    return size == 1 and isinstance(size, int) and max(sizes) > 1


def _chosen(measured: Sequence[Measurement], metric: str | None) -> Measurement:
    known = {measurement.name: measurement for measurement in measured if measurement.statistic}
    name = metric or next((name for name in known if "acc" in name.lower()), next(iter(known), ""))
    if name not in known:
        reported = abbreviate(str(name), list(known)) or "none"
        raise ValueError(f"metric {name!r} is not among those that the model reports: {reported}")
    return known[name]


def _estimate(score: Measurement, level: float, rng: np.random.Generator) -> Estimate:
    assert score.statistic is not None
    return Estimate(score.value, interval(score.statistic, level, 1000, rng), len(score.statistic.states))
