"""Coverage of prediction sets and intervals as measured on new samples, by class and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hornbeam._internal.intervals import Interval, check_level, wilson
from hornbeam._internal.typing import ArrayLike
from hornbeam.evaluation.conformal.quantiles import check_coverage, finite_array, group_names
from hornbeam.evaluation.display import EvaluationReport, PlainValues, Table
from hornbeam.evaluation.labels import class_indices

# Most classes or groups of a table.
_SHOWN = 25


@dataclass(frozen=True)
class CoverageRow(PlainValues):
    """Coverage of a class or group: covered of n samples; mean size of a set, or mean width of an
    interval.
    """

    name: str
    n: int
    covered: int
    size: float

    @property
    def value(self) -> float:
        """Fraction covered / n."""
        return self.covered / self.n

    def interval(self, level: float = 0.95) -> Interval:
        """Return the Wilson interval of the coverage."""
        return wilson(self.covered, self.n, level)


@dataclass(frozen=True, repr=False)
class Coverage(EvaluationReport):
    """Measured coverage of prediction sets or intervals.

    Args:
        all: Coverage of all samples.
        level: Confidence level of the intervals.
        promised: Coverage that was promised, None if unknown.
        classes: Coverage of each true class.
        groups: Coverage of each group.
        sizes: Number of sets with 0, 1, 2, ... classes.
        notes: Caveats.
    """

    all: CoverageRow
    level: float
    promised: float | None
    classes: Sequence[CoverageRow] = ()
    groups: Sequence[CoverageRow] = ()
    sizes: Sequence[int] = ()
    notes: Sequence[str] = field(default=())

    @property
    def value(self) -> float:
        """Coverage of all samples."""
        return self.all.value

    @property
    def interval(self) -> Interval:
        """Wilson interval of the coverage of all samples."""
        return self.all.interval(self.level)

    def headline(self) -> str:
        """Return the coverage, its interval, the promise and the mean size."""
        promise = "" if self.promised is None else f"; promised {self.promised:.3f}"
        size = f"{self.all.size:.2f} classes in a set" if self.sizes else f"width {self.all.size:.4g}"
        low, high = self.interval
        return (
            f"coverage {self.value:.3f} ({self.level:.0%} interval {low:.3f} to {high:.3f}{promise}) of "
            f"{self.all.n:,} samples; {size} on average"
        )

    def tables(self) -> list[Table]:
        """Return the coverage by class and by group, lowest first where there are many; and sizes of sets."""
        size = "classes" if self.sizes else "width"
        tables = []
        for name, rows in (("class", self.classes), ("group", self.groups)):
            if not rows:
                continue
            lowest = sorted(sorted(rows, key=lambda row: row.value)[:_SHOWN], key=rows.index)
            title = f"by {name}" + (f" (the {_SHOWN} lowest)" if len(rows) > _SHOWN else "")
            cells = [
                (
                    row.name,
                    f"{row.n:,}",
                    f"{row.value:.3f}",
                    "{:.3f} to {:.3f}".format(*row.interval(self.level)),
                    f"{row.size:.4g}",
                )
                for row in lowest
            ]
            tables.append(Table(title, (name, "n", "coverage", "interval", size), cells))
        if self.sizes:
            counts = [
                (str(k), f"{count:,}", f"{count / self.all.n:.1%}") for k, count in enumerate(self.sizes)
            ]
            tables.append(
                Table("sizes of the sets", ("classes", "n", ""), [row for row in counts if row[1] != "0"])
            )
        return tables

    def remarks(self) -> list[str]:
        """Return the notes, and the classes and groups whose coverage is below the promise."""
        remarks = list(self.notes)
        promised = self.promised
        if promised is None:
            return remarks
        for name, rows, argument in (
            ("classes", self.classes, "by_class=True"),
            ("groups", self.groups, "groups=..."),
        ):
            below = [row.name for row in rows if row.interval(self.level).high < promised]
            if below:
                remarks.append(
                    f"{name} covered less often than promised: {', '.join(below[:8])}. The promise is for "
                    f"all samples together; calibrate with {argument} to give it to each of the {name}"
                )
        if self.interval.high < promised:
            remarks.append(
                "the promise is not kept: these samples are not exchangeable with the calibration data "
                "(another source, later in time, or calibration data that were trained on)"
            )
        return remarks


def evaluate_coverage(
    predicted: ArrayLike,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    coverage: float | None = None,
    level: float = 0.95,
) -> Coverage:
    """Measure how often sets or intervals contain the truth, with Wilson's intervals.

    Args:
        predicted: Sets as booleans (n, classes), or intervals as numbers (n, 2).
        y: Class indices (n,) or one-hot rows for sets, numbers (n,) for intervals.
        groups: Group of each sample (n,).
        coverage: Promised coverage to compare with.
        level: Confidence level of the intervals.

    Returns:
        Coverage of all samples, of each class and each group.

    Raises:
        ValueError: For shapes that do not fit.

    Example:
        >>> evaluate_coverage([[0.0, 1.0]] * 20, np.linspace(0, 1.05, 20)).value
        0.95
    """
    check_level(level)
    promised = None if coverage is None else check_coverage(coverage)
    bounds = np.asarray(predicted)
    if bounds.ndim != 2 or not len(bounds) or (bounds.dtype != bool and bounds.shape[1] != 2):
        raise ValueError(
            "predicted must be sets, booleans (n, classes), or intervals, numbers (n, 2), got an array "
            f"{bounds.shape} of {bounds.dtype}"
        )
    if bounds.dtype == bool:
        true = class_indices(np.asarray(y), bounds.shape[1])
        if true is None or len(true) != len(bounds):
            raise ValueError(
                f"y must have a class index or one-hot row for each of the {len(bounds):,} sets, got "
                f"{np.shape(y)}"
            )
        covered, sizes = bounds[np.arange(len(bounds)), true], bounds.sum(1)
        classes = _rows(true, covered, sizes)
        counts = np.bincount(sizes).tolist()
    else:
        numbers = finite_array("y", y, len(bounds))
        covered, sizes = (bounds[:, 0] <= numbers) & (numbers <= bounds[:, 1]), bounds[:, 1] - bounds[:, 0]
        classes, counts = [], []
    by_group = [] if groups is None else _rows(group_names(groups, len(bounds)), covered, sizes)
    (everything,) = _rows(np.zeros(len(bounds), int), covered, sizes)
    return Coverage(everything, level, promised, classes, by_group, counts)


def _rows(keys: np.ndarray, covered: np.ndarray, sizes: np.ndarray) -> list[CoverageRow]:
    rows = []
    for key in np.unique(keys):
        members = keys == key
        rows.append(
            CoverageRow(
                str(key), int(members.sum()), int(covered[members].sum()), float(sizes[members].mean())
            )
        )
    return rows
