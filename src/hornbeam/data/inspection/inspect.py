"""`look`: what is in the data, and what to do about it before training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hornbeam import tree
from hornbeam._internal.neighbors import Suspicion, features_of, projected, suspicious_labels
from hornbeam._internal.row_hash import hash_samples
from hornbeam._internal.validation import check_int
from hornbeam.data.inspection.advice import Advice, advice_for
from hornbeam.data.inspection.statistics import Summary, looks_like_images, summarize
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.samples import as_samples, check_same_count, named_arrays
from hornbeam.data.splits.split import class_labels
from hornbeam.data.splits.split_dataset import batch_size_of

# Pictures of each class, and of suspicious labels, that are kept to be shown.
SHOWN = 12
_CLASSES = 10


class Repeated(NamedTuple):
    """Samples that are there more than once: how many in all could go, rows of some (one list for each
    sample), and how many samples have the same x with different labels."""

    again: int
    groups: list[list[int]]
    contradictions: int


@dataclass
class Classes:
    """The labels: the names of the classes, how many samples each has, and each sample's class 0 ... k - 1.

    coding: "text", "one-hot" or "numbers". values: what stands for the classes in y, for text 0 ... k - 1.
    low, high: the least and the largest number, None for text.
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
        """Class weights under which every class counts the same: n / (classes * samples of the class)."""
        balanced = self.counts.sum() / (len(self.counts) * self.counts)
        return dict(zip(self.values, np.round(balanced, 3).tolist(), strict=True))


@dataclass
class DataReport:
    """What `look` found. Printed it is a report; `plot(path)` draws it; its parts are attributes.

    samples: their number. x, y: a `Summary` for each array or column. classes: the labels, or None.
    repeated: samples that are there more than once. suspicious: labels that neighbours contradict, or None
    where neighbours cannot tell. advice: what to do, and why. pictures: some of each class, by its name.
    """

    samples: int
    x: list[Summary]
    y: list[Summary]
    classes: Classes | None = None
    repeated: Repeated | None = None
    suspicious: list[Suspicion] | None = None
    note: str = ""
    advice: list[Advice] = field(default_factory=list)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    doubtful: np.ndarray = field(default_factory=lambda: np.empty((0, 1, 1)))
    values: dict[str, np.ndarray] = field(default_factory=dict)

    def __str__(self) -> str:
        from hornbeam.data.inspection.display import as_text

        return as_text(self)

    __repr__ = __str__

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from hornbeam.data.inspection.display import parts_of

        return iter(parts_of(self))

    def _repr_html_(self) -> str:
        from hornbeam.data.inspection.display import as_html

        return as_html(self)

    def plot(self, path: str | Path) -> Path:
        """Draw values, classes, a contact sheet and doubtful labels into a picture (.png, .svg, .pdf).

        Needs matplotlib (extra `plot`). Returns the path.
        """
        from hornbeam.data.inspection.figure import draw

        return draw(self, Path(path))


def look(
    x: Any,
    y: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    neighbors: bool = True,
    limit: int = 100_000,
) -> DataReport:
    """Look at data before training: shapes, ranges, means, deviations, what is missing, constant or there
    twice, the balance of classes, labels that nearest neighbours contradict, a contact sheet of pictures, and
    advice with its reason.

    x, y: arrays, lists or dicts of arrays, frames, or as x alone a Dataset of (x, y), of which at most
    `limit` samples are read. class_names: what the classes 0, 1, ... are called. neighbors: compare labels
    with those of nearest neighbours, which takes most of the time.

    Gives a `DataReport`: print it, or call its `plot(path)`. Raises ShapeError for different lengths,
    ValueError for no samples.

    >>> report = hornbeam.data.look(np.array([[1.0], [2.0], [2.0]]), np.array([0, 1, 1]))
    >>> report.repeated.again, report.classes.counts.tolist()
    (1, [1, 2])
    """
    note = ""
    if isinstance(x, Dataset):
        if y is not None:
            raise ValueError("a Dataset gives x and y itself: leave y away")
        x, y, note = _gathered(x, check_int("limit", limit, 1))
    x, y = as_samples(x, "x"), None if y is None else as_samples(y, "y")
    count = check_same_count(x=x, y=y)
    arrays = named_arrays(x, "x")
    targets = {} if y is None else named_arrays(y, "y")
    found = DataReport(
        count,
        [summarize(array, name) for name, array in arrays.items()],
        [summarize(array, name) for name, array in targets.items()],
        note=note,
    )
    found.classes = _classes(y, class_names)
    numbers = None if found.classes is None else found.classes.numbers
    found.repeated = _repeated(list(arrays.values()), numbers)
    pictures = len(arrays) == 1 and looks_like_images(found.x[0])
    numeric = [array for array, summary in zip(arrays.values(), found.x, strict=True) if summary.numeric]
    if neighbors and numbers is not None and numeric:
        numeric = [array if array.dtype != object else array.astype(np.float64) for array in numeric]
        found.suspicious = suspicious_labels(projected(features_of(numeric, pictures)), numbers)
    if pictures:
        _contact_sheet(found, next(iter(arrays.values())))
    else:
        some = np.linspace(0, count - 1, min(count, 5000)).astype(int)
        kept = [(s.name, a[some]) for s, a in zip(found.x, arrays.values(), strict=True) if s.numeric]
        found.values = dict(kept[:12])
    found.advice = advice_for(found, pictures)
    return found


def _gathered(dataset: Dataset, limit: int) -> tuple[Any, Any, str]:
    """The first samples of a Dataset as arrays, and a note if those are not all."""
    samples = dataset if batch_size_of(dataset) is None else dataset.unbatch()
    rows = list(itertools.islice(samples.as_numpy_iterator(), limit + 1))
    note = f"the first {limit:,} samples of a Dataset" if len(rows) > limit else ""
    if not rows:
        raise ValueError("there are no samples: the Dataset is empty")
    pairs = isinstance(rows[0], tuple) and len(rows[0]) > 1
    parts = [
        tree.map_structure(lambda *same: np.stack(same), *part) for part in _columns(rows[:limit], pairs)
    ]
    return parts[0], parts[1] if pairs else None, note


def _columns(rows: list[Any], pairs: bool) -> list[list[Any]]:
    if pairs:
        return [[row[0] for row in rows], [row[1] for row in rows]]
    return [[row[0] if isinstance(row, tuple) else row for row in rows]]


def _classes(y: Any, names: Sequence[str] | None) -> Classes | None:
    """The labels, if `y` are labels: of whole numbers, no more different ones than half the samples."""
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


def _repeated(arrays: list[np.ndarray], numbers: np.ndarray | None) -> Repeated:
    single = hash_samples(arrays, [_exact(array) for array in arrays])
    _, inverse, counts = np.unique(single, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    rows = np.flatnonzero(counts[inverse] > 1)
    rows = rows[np.argsort(inverse[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(inverse[rows])) + 1
    groups = [part for part in np.split(rows, cuts) if len(part)]
    contradictions = 0
    if numbers is not None:
        contradictions = sum(len(part) for part in groups if len(np.unique(numbers[part])) > 1)
    shown = sorted((part.tolist() for part in groups), key=lambda part: part[0])[:SHOWN]
    return Repeated(int(len(single) - len(counts)), shown, contradictions)


def _exact(array: np.ndarray) -> Any:
    """As what rows are compared: as they are, objects by their text."""
    return array.dtype if array.dtype.kind in "biuf" else np.float64


def _contact_sheet(found: DataReport, array: np.ndarray) -> None:
    """Keep a few pictures of each of the first classes, and those whose labels are doubtful."""
    if found.classes is None:
        found.pictures = {"": array[:SHOWN]}
    else:
        for number, name in enumerate(found.classes.names[:_CLASSES]):
            found.pictures[name] = array[np.flatnonzero(found.classes.numbers == number)[:SHOWN]]
    if found.suspicious:
        found.doubtful = array[[one.row for one in found.suspicious[:SHOWN]]]
    some = array.reshape(-1)[:: max(1, array.size // 200_000)]
    found.values = {"values": some}
