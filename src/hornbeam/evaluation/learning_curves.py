"""`learning_curve`: would more data help?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.intervals import check_level
from hornbeam.data.splits.sealed import refuse_sealed
from hornbeam.evaluation.comparison import CANNOT_TELL, Difference, difference
from hornbeam.evaluation.compiled_metrics import Measurement, measurements
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.estimates import Estimate
from hornbeam.evaluation.resampling import interval
from hornbeam.random import host_permutation
from hornbeam.visualization.figure import Figure, LinePanel


@dataclass(frozen=True)
class Point:
    """A model that learned from `size` samples: its score on those, and on the validation samples."""

    size: int
    train: Estimate
    validation: Estimate

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"size": self.size, "train": self.train.as_dict(), "validation": self.validation.as_dict()}


@dataclass(frozen=True, repr=False)
class LearningCurve(EvaluationReport):
    """What `learning_curve` found. metric: what was measured. last: the largest size against the one before
    it.
    """

    metric: str
    points: Sequence[Point]
    last: Difference
    notes: Sequence[str] = field(default=())

    def headline(self) -> str:
        small, large = self.points[-2].size, self.points[-1].size
        step = f"from {small:,} to {large:,} samples {self.metric} changed by {self.last.value:+.4f}"
        bounds = f" ({self.last.interval})" if self.last.interval else ""
        advice = {
            "better": "more data are likely to help",
            "worse": "it became worse: look at the training before you look for data",
            CANNOT_TELL: "these samples cannot tell whether more data would help",
        }
        return f"{step}{bounds}: {advice.get(self.last.verdict, self.last.verdict)}"

    def tables(self) -> list[Table]:
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

    def remarks(self) -> list[str]:
        return list(self.notes)

    def as_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "points": [point.as_dict() for point in self.points],
            "last": self.last.as_dict(),
            "notes": list(self.notes),
        }

    def plot(self, path: str | Path) -> Path:
        """Draw both scores with their intervals against the number of samples into a file.

        Args:
            path: File; its suffix chooses PNG, SVG or PDF.

        Returns:
            The path.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
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
        Figure("Learning curve", self.headline(), [panel], panel_size=(6.0, 4.0)).save(path, dpi=110)
        return Path(path)


def learning_curve(
    build: Callable[[], Any],
    x: Any,
    y: Any,
    validation_data: tuple[Any, Any],
    sizes: Sequence[float] = (0.1, 0.2, 0.5, 1.0),
    *,
    metric: str | None = None,
    level: float = 0.95,
    seed: int = 0,
    **fit: Any,
) -> LearningCurve:
    """Train a new model on growing parts of the data, and measure each on the same validation samples.

    build: a function that gives a new compiled model. x, y: arrays (n, ...), or structures of them.
    validation_data: (x, y). sizes: shares of the data, or numbers of samples; larger parts hold the smaller
    ones. metric: a name of the model's, by default the accuracy, else the loss. fit: arguments of `fit`, such
    as epochs and batch_size; `set_random_seed(seed)` is called before each model is built.

    The last two sizes are compared sample by sample, as `compare` does. One training for each size: `repeat`
    says how much of a number is luck.

    Raises ValueError for fewer than two sizes, sizes that do not fit, and for an unknown metric,
    SealedError for sealed data.

    >>> learning_curve(build, x, y, (x_val, y_val), epochs=5).plot("curve.png")  # doctest: +SKIP
    """
    from hornbeam.diagnostics.predictions import predictions
    from hornbeam.utils import set_random_seed

    check_level(level)
    refuse_sealed(validation_data, "learning_curve() validates on it")
    count = len(tree.flatten(x)[0])
    counts = _counts(sizes, count)
    order = host_permutation(seed, count)
    rng = np.random.default_rng(seed)
    points, found, notes = [], [], []
    for size in counts:
        part_x, part_y = (_rows(part, np.sort(order[:size])) for part in (x, y))
        set_random_seed(seed)
        model = build()
        model._require_compiled("fit")
        model.fit(part_x, part_y, **{"verbose": 0, **fit})
        scores = []
        for data in ((part_x, part_y), validation_data):
            measured, missing = measurements(model, predictions(model, *data, purpose="learning curve"))
            notes += [note for note in missing if note not in notes]
            scores.append(_chosen(measured, metric))
        estimates = [_estimate(score, level, rng) for score in scores]
        points.append(Point(size, estimates[0], estimates[1]))
        found.append(scores[1])
    if "steps_per_epoch" not in fit:
        notes.append(
            "larger parts also made more updates, as every size went through the same number of epochs: give "
            "steps_per_epoch to keep updates alike"
        )
    before, after = (score.statistic for score in found[-2:])
    assert before is not None
    assert after is not None
    return LearningCurve(found[0].name, points, difference(after, before, level, rng=rng), notes)


def _rows(structure: Any, rows: np.ndarray) -> Any:
    return tree.map_structure(lambda part: np.asarray(part)[rows], structure)


def _counts(sizes: Sequence[float], count: int) -> list[int]:
    made = sorted(
        {round(size * count) if 0 < size <= 1 and not _many(size, sizes) else int(size) for size in sizes}
    )
    if len(made) < 2 or made[0] < 1 or made[-1] > count:
        raise ValueError(
            f"sizes must be at least two different shares of the data up to 1.0, or numbers up to {count:,}, "
            f"got {list(sizes)!r}"
        )
    return made


def _many(size: float, sizes: Sequence[float]) -> bool:
    """Whether 1 means one sample: among numbers it does."""
    return size == 1 and isinstance(size, int) and max(sizes) > 1


def _chosen(measured: Sequence[Measurement], metric: str | None) -> Measurement:
    known = {measurement.name: measurement for measurement in measured if measurement.statistic}
    name = metric or next((name for name in known if "acc" in name.lower()), next(iter(known), ""))
    if name not in known:
        raise ValueError(
            f"metric {name!r} is not among those that the model reports: {', '.join(known) or 'none'}"
        )
    return known[name]


def _estimate(score: Measurement, level: float, rng: np.random.Generator) -> Estimate:
    assert score.statistic is not None
    return Estimate(score.value, interval(score.statistic, level, 1000, rng), len(score.statistic.states))
