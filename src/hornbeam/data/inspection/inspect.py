"""`look`: a report on data before training, with advice."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hornbeam import tree
from hornbeam._internal.neighbors import Suspicion, features_of, projected, suspicious_labels
from hornbeam._internal.row_hash import hash_samples
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam.data.inspection.advice import Advice, advice_for
from hornbeam.data.inspection.columns import is_row_id, rows_explained
from hornbeam.data.inspection.statistics import Summary, looks_like_images, summarize
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.memory import stage_of
from hornbeam.data.pipeline.stages import Prefetch, Stage
from hornbeam.data.pipeline.transforms import Batch, Map
from hornbeam.data.samples import as_samples, check_same_count, named_arrays, target_of
from hornbeam.data.splits.split import class_labels
from hornbeam.data.splits.split_dataset import batch_size_of
from hornbeam.visualization.display import Block, Report

# Images of each class, and of suspicious labels, that a report keeps.
SHOWN = 12
_MAX_CLASSES = 10


class DuplicateRows(NamedTuple):
    """Exact duplicates among the samples.

    redundant: number of samples that repeat an earlier one. groups: rows of some equal samples, a list for
    each. contradictions: number of samples with equal x and different labels.
    """

    redundant: int
    groups: list[list[int]]
    contradictions: int


@dataclass
class Classes:
    """Labels: names and counts of the classes, and the class 0 ... k - 1 of each sample (`numbers`).

    coding: "text", "one-hot" or "numbers". values: values of the classes in y, for text 0 ... k - 1. low,
    high: the smallest and the largest number, None for text.
    """

    names: list[str]
    counts: np.ndarray
    numbers: np.ndarray
    coding: str
    values: list[int]
    low: int | None = None
    high: int | None = None

    @property
    def weights(self) -> dict[int, float]:
        """Class weights that give all classes equal influence: n / (classes * samples of the class)."""
        balanced = self.counts.sum() / (len(self.counts) * self.counts)
        return dict(zip(self.values, np.round(balanced, 3).tolist(), strict=True))


@dataclass(repr=False)
class DataReport(Report):
    """Result of `look`: prints as a report; `plot(path)` draws it.

    Args:
        samples: Number of samples.
        x: Statistics (`Summary`) of each array or column of the inputs.
        y: Statistics of each array or column of the targets.
        classes: The labels, or None if `y` are not labels.
        duplicates: Exact duplicates among the samples.
        suspicious: Labels that nearest neighbors contradict, or None if neighbors are uninformative.
        note: Remark on which samples were read.
        advice: Recommended actions with reasons.
        images: Some images of each class, by its name.
        suspicious_images: Images with suspicious labels.
        values: Some values of each array of the inputs, for histograms.
        ids: Names of columns that never repeat, as the numbers of customers.
        answers: Number of samples whose label a column alone tells, by its name, where those are nearly all.
    """

    samples: int
    x: list[Summary]
    y: list[Summary]
    classes: Classes | None = None
    duplicates: DuplicateRows | None = None
    suspicious: list[Suspicion] | None = None
    note: str = ""
    advice: list[Advice] = field(default_factory=list)
    images: dict[str, np.ndarray] = field(default_factory=dict)
    suspicious_images: np.ndarray = field(default_factory=lambda: np.empty((0, 1, 1)))
    values: dict[str, np.ndarray] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """Yield the tables, sentences and figures of the report."""
        from hornbeam.data.inspection.display import blocks_of

        return blocks_of(self)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw values, classes, a contact sheet and suspicious labels. Needs matplotlib (extra `plot`).

        Args:
            path: File to write (.png, .svg, .pdf).

        Returns:
            The path.
        """
        from hornbeam.data.inspection.figure import report_figure

        report_figure(self).save(path, dpi=110)
        return Path(path)


def look(
    x: Tree,
    y: Tree = None,
    *,
    class_names: Sequence[str] | None = None,
    neighbors: bool = True,
    limit: int = 100_000,
) -> DataReport:
    """Report on data before training, with advice.

    The report has shapes, ranges, means, standard deviations, missing values, constant features, duplicates,
    the balance of classes, labels that nearest neighbors contradict, a contact sheet of images, and advice
    with its reason.

    Args:
        x: Inputs: arrays, lists or dicts of arrays, frames; or a Dataset of (x, y) without `y`.
        y: Targets; the name of their column in `x`; or None.
        class_names: Names of the classes 0, 1, ...
        neighbors: Whether to compare labels with those of nearest neighbors, which takes most of the time.
        limit: Maximum number of samples that are read from a Dataset.

    Returns:
        A `DataReport`: print it, or call its `plot(path)`.

    Raises:
        ShapeError: If lengths differ.
        ValueError: If there are no samples.

    Example:
        >>> report = hornbeam.data.look(np.array([[1.0], [2.0], [2.0]]), np.array([0, 1, 1]))
        >>> report.duplicates.redundant, report.classes.counts.tolist()
        (1, [1, 2])
    """
    note = ""
    if isinstance(x, Dataset):
        if y is not None:
            raise ValueError("a Dataset yields x and y itself: omit y")
        x, y, note = _read_dataset(x, check_int("limit", limit, minimum=1))
    x, y = target_of(x, y)
    x, y = as_samples(x, "x"), None if y is None else as_samples(y, "y")
    count = check_same_count(x=x, y=y)
    arrays = named_arrays(x, "x")
    targets = {} if y is None else named_arrays(y, "y")
    report = DataReport(
        count,
        [summarize(array, name) for name, array in arrays.items()],
        [summarize(array, name) for name, array in targets.items()],
        note=note,
    )
    report.classes = _classes(y, class_names)
    numbers = None if report.classes is None else report.classes.numbers
    report.duplicates = _duplicate_rows(list(arrays.values()), numbers)
    images = len(arrays) == 1 and looks_like_images(report.x[0])
    numeric = [array for array, summary in zip(arrays.values(), report.x, strict=True) if summary.numeric]
    if neighbors and numbers is not None and numeric:
        numeric = [array if array.dtype != object else array.astype(np.float64) for array in numeric]
        report.suspicious = suspicious_labels(projected(features_of(numeric, images)), numbers)
    if images:
        _keep_images(report, next(iter(arrays.values())))
    else:
        rows = np.linspace(0, count - 1, min(count, 5000)).astype(int)
        values = [(s.name, a[rows]) for s, a in zip(report.x, arrays.values(), strict=True) if s.numeric]
        report.values = dict(values[:12])
        _find_revealing_columns(report, arrays)
    report.advice = advice_for(report, images)
    return report


def _read_dataset(dataset: Dataset, limit: int) -> tuple[Any, Any, str]:
    """Return the first samples of a Dataset as arrays, and a note if those are not all."""
    batched = batch_size_of(dataset) is not None or _has_batches(stage_of(dataset))
    rows = _first_elements(dataset.unbatch() if batched else dataset, limit)
    if not batched and _are_batches(rows):
        rows = _first_elements(dataset.unbatch(), limit)
    note = f"the first {limit:,} samples of a Dataset" if len(rows) > limit else ""
    if not rows:
        raise ValueError("the Dataset is empty: it has no samples")
    pairs = isinstance(rows[0], tuple) and len(rows[0]) > 1
    parts = [
        tree.map_structure(lambda *column: np.stack(column), *part) for part in _columns(rows[:limit], pairs)
    ]
    return parts[0], parts[1] if pairs else None, note


def _first_elements(dataset: Dataset, limit: int) -> list[Any]:
    return list(itertools.islice(dataset.as_numpy_iterator(), limit + 1))


def _has_batches(stage: Stage) -> bool:
    """Return whether the elements are batches to which functions were applied."""
    while isinstance(stage, (Prefetch, Map)):
        stage = stage.source
    return isinstance(stage, Batch)


def _are_batches(elements: list[Any]) -> bool:
    """Return whether elements (x, y) of an unknown source are batches: one, or several and a smaller one."""
    lengths = [{np.shape(leaf)[:1] for leaf in tree.flatten(element)} for element in elements]
    if not lengths or any(len(part) != 1 or part == {()} for part in lengths):
        return False
    several = len(tree.flatten(elements[0])) > 1
    return several and (len(lengths) == 1 or any(part != lengths[0] for part in lengths))


def _columns(rows: list[Any], pairs: bool) -> list[list[Any]]:
    if pairs:
        return [[row[0] for row in rows], [row[1] for row in rows]]
    return [[row[0] if isinstance(row, tuple) else row for row in rows]]


def _classes(y: Tree, names: Sequence[str] | None) -> Classes | None:
    """Return the labels if `y` are labels: integers or text with at most half as many values as samples."""
    labels = class_labels(y)
    if labels is None:
        return None
    values, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(values) * 2 > max(len(labels), 4):
        return None
    text = values.dtype.kind == "U"
    (array,) = named_arrays(y, "y").values()
    one_hot = array.ndim == 2 and array.shape[1] > 1
    coding = "text" if text else "one-hot" if one_hot else "numbers"
    shown = [str(value) for value in values.tolist()]
    if names is not None and not text:
        top = int(values.max())
        if len(names) <= top:
            raise ValueError(f"class_names has {len(names)} names, but y has the label {top}")
        shown = [str(names[int(value)]) for value in values]
    low, high = (None, None) if text else (int(values[0]), int(values[-1]))
    keys = list(range(len(shown))) if text else [int(value) for value in values]
    return Classes(shown, counts, numbers.reshape(-1), coding, keys, low, high)


def _duplicate_rows(arrays: list[np.ndarray], numbers: np.ndarray | None) -> DuplicateRows:
    hashes = hash_samples(arrays, [_comparison_dtype(array) for array in arrays])
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    rows = np.flatnonzero(counts[inverse] > 1)
    rows = rows[np.argsort(inverse[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(inverse[rows])) + 1
    groups = [part for part in np.split(rows, cuts) if len(part)]
    contradictions = 0
    if numbers is not None:
        contradictions = sum(len(part) for part in groups if len(np.unique(numbers[part])) > 1)
    shown = sorted((part.tolist() for part in groups), key=lambda part: part[0])[:SHOWN]
    return DuplicateRows(int(len(hashes) - len(counts)), shown, contradictions)


def _find_revealing_columns(report: DataReport, arrays: dict[str, np.ndarray]) -> None:
    """Find columns that number the samples, and those that alone tell the label."""
    columns = {name: array.reshape(-1) for name, array in arrays.items() if array.size == report.samples}
    if len(columns) > 1:
        report.ids = [name for name, column in columns.items() if is_row_id(column, name)]
    if report.classes is None:
        return
    for name, column in columns.items():
        explained = 0 if name in report.ids else rows_explained(column, report.classes.numbers)
        if explained:
            report.answers[name] = explained


def _comparison_dtype(array: np.ndarray) -> Any:
    """Return the dtype in which rows are compared: their own; objects are compared as text."""
    return array.dtype if array.dtype.kind in "biuf" else np.float64


def _keep_images(report: DataReport, array: np.ndarray) -> None:
    """Keep a few images of each of the first classes, and those whose labels are suspicious."""
    if report.classes is None:
        report.images = {"": array[:SHOWN]}
    else:
        for number, name in enumerate(report.classes.names[:_MAX_CLASSES]):
            report.images[name] = array[np.flatnonzero(report.classes.numbers == number)[:SHOWN]]
    if report.suspicious:
        report.suspicious_images = array[[suspicion.row for suspicion in report.suspicious[:SHOWN]]]
    report.values = {"values": array.reshape(-1)[:: max(1, array.size // 200_000)]}
