"""`split`: training, validation and test samples that have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_number
from hornbeam.data.samples import as_samples, check_same_count, is_table, named_arrays, take_samples
from hornbeam.data.splits.allocation import allocate
from hornbeam.distribution.processes import say
from hornbeam.random import global_seed_generator, host_permutation

# Gives 0 ... n - 1 in some order.
Order = Callable[[int], np.ndarray]

NAMES = ("train", "validation", "test")


def random_permutation(count: int) -> np.ndarray:
    """0 ... count - 1 in a new order, drawn from the global seed."""
    return host_permutation(global_seed_generator().host_next(), count)


def order_of(seed: int | None) -> Order:
    """Orders of one seed, or of the global one for None."""
    return random_permutation if seed is None else lambda count: host_permutation(seed, count)


@dataclass(frozen=True, repr=False)
class Split:
    """What `split` gives: `train`, `validation` and `test`, each (x, y), or x where there is no y; None for
    a part that was not wanted. `rows` are the row numbers of each, `sentence` says sizes and how."""

    train: Any
    validation: Any
    test: Any
    rows: dict[str, np.ndarray]
    sentence: str

    def __iter__(self) -> Iterator[Any]:
        return iter((self.train, self.validation, self.test))

    def __repr__(self) -> str:
        return f"<Split: {self.sentence}>"


def split(
    x: Any,
    y: Any = None,
    *,
    validation: float | int | None = 0.1,
    test: float | int | None = 0.1,
    groups: Any = None,
    stratify: Any = "auto",
    seed: int | None = None,
    verbose: bool = True,
) -> Split:
    """Cut samples into parts for training, validation and test, and say how many each got.

    x, y: arrays, lists or dicts of arrays, frames, lists of numbers or strings. validation, test: a fraction
    below 1 or a number of samples; 0 or None for no such part. groups: one value a sample (a patient, a
    document, a day); samples of one group are never torn apart, so sizes are as near as groups allow.
    stratify: "auto" keeps each class's share in each part, to within one sample, where y are labels; True
    insists on it; False leaves it to chance; or an array of the classes to keep. seed: the same one gives the
    same parts; None draws from the global seed. verbose: print the sentence.

    Raises ShapeError for different lengths, ValueError for sizes that leave nothing to train on, too few
    groups, and stratify=True without classes.

    >>> x, y = np.arange(10.0), np.repeat([0, 1], 5)
    >>> train, validation, test = hornbeam.data.split(x, y, validation=2, test=2, seed=0)
    10 samples: 6 train, 2 validation, 2 test; shuffled, every class in proportion
    >>> test[1].tolist()
    [0, 1]
    """
    x, y = as_samples(x, "x"), None if y is None else as_samples(y, "y")
    count = check_same_count(x=x, y=y)
    sizes = sizes_of(count, validation, test)
    classes = classes_of(y, stratify, count)
    order = order_of(seed)
    if groups is None:
        parts = split_indices(count, sizes, classes, order)
    else:
        parts = split_group_indices(group_ids(groups, count), sizes, classes, order)
    data = x if y is None else (x, y)
    rows = dict(zip(NAMES, parts, strict=True))
    shown = ", ".join(f"{len(part):,} {name}" for name, part in rows.items() if len(part))
    how = "shuffled" if groups is None else "whole groups shuffled"
    if classes is not None:
        how += ", every class in proportion" + ("" if groups is None else " as far as groups allow")
    sentence = f"{count:,} samples: {shown}; {how}"
    if verbose:
        say(sentence)
    made = (take_samples(data, part) if len(part) else None for part in parts)
    return Split(next(made), next(made), next(made), rows, sentence)


def sizes_of(count: int, validation: Any, test: Any) -> np.ndarray:
    """Samples for training, validation and test. Raises ValueError for sizes that cannot be."""
    held = []
    for name, size in (("validation", validation), ("test", test)):
        wanted = check_number(name, 0 if size is None else size, 0)
        fraction = isinstance(wanted, (float, np.floating))
        if fraction and wanted >= 1:
            raise ValueError(
                f"{name} must be a fraction below 1 or a whole number of samples, got {wanted!r}"
            )
        held.append(round(float(wanted) * count) if fraction else int(wanted))
        if wanted and not held[-1]:
            raise ValueError(f"{name}={wanted} of {count:,} samples is none: give a number of samples")
    if sum(held) >= count:
        raise ValueError(
            f"{held[0]:,} samples for validation and {held[1]:,} for test leave nothing of {count:,} to "
            "train on"
        )
    return np.array([count - sum(held), *held])


# -- classes and groups ------------------------------------------------------------------------------


def class_ids(y: np.ndarray) -> np.ndarray | None:
    """The class of every sample if `y` are labels (whole numbers or one-hot rows), else None."""
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            return None
        one_hot = bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
        return y.argmax(axis=1) if one_hot else None
    if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
        flat = y.reshape(-1)
        if flat.dtype.kind in "biu":
            return flat
        if flat.dtype.kind == "f" and np.isfinite(flat).all() and (flat == np.round(flat)).all():
            return flat.astype(np.int64)
    return None


def labels_of(y: Any) -> np.ndarray | None:
    """`class_ids` of what `as_samples` gave; strings are labels too. None for several targets."""
    arrays = {} if y is None else named_arrays(y, "y")
    if len(arrays) != 1:
        return None
    (array,) = arrays.values()
    if array.dtype.kind in "OSU":
        flat = array.reshape(len(array), -1)
        text = all(isinstance(value, (str, bytes)) for value in flat[:, 0].tolist())
        return flat[:, 0].astype("U") if flat.shape[1] == 1 and text else None
    return class_ids(array)


def classes_of(y: Any, stratify: Any, count: int) -> np.ndarray | None:
    """The class of each sample that parts keep the shares of, 0 ... k - 1, or None."""
    if stratify is False or stratify is None:
        return None
    if stratify is True or (isinstance(stratify, str) and stratify == "auto"):
        labels = labels_of(y)
        if labels is None and stratify is True:
            raise ValueError("stratify=True needs y of labels: give stratify= an array of classes instead")
    elif isinstance(stratify, str):
        raise ValueError(f'stratify must be "auto", True, False or an array of classes, got {stratify!r}')
    else:
        labels = np.asarray(_flat(stratify, "stratify", count))
    if labels is None:
        return None
    numbers: np.ndarray = np.unique(labels, return_inverse=True)[1].reshape(-1)
    distinct = int(numbers.max()) + 1
    # Whole numbers that hardly repeat are no classes but quantities.
    if isinstance(stratify, str) and (distinct < 2 or distinct * 2 > count):
        return None
    return numbers


def group_ids(groups: Any, count: int) -> np.ndarray:
    """Groups as 0 ... g - 1."""
    numbers: np.ndarray = np.unique(_flat(groups, "groups", count), return_inverse=True)[1]
    return numbers.reshape(-1)


def _flat(values: Any, what: str, count: int) -> np.ndarray:
    values = as_samples(values, what)
    array = values.to_numpy() if is_table(values) else np.asarray(values)
    if array.shape not in ((count,), (count, 1)):
        raise ValueError(f"{what} must have one value for each of {count:,} samples, got shape {array.shape}")
    array = array.reshape(-1)
    return array.astype("U") if array.dtype == object else array


# -- rows --------------------------------------------------------------------------------------------


def split_indices(
    count: int, sizes: np.ndarray, classes: np.ndarray | None, order: Order
) -> list[np.ndarray]:
    """Row numbers of parts of the given sizes, each in rising order."""
    shuffled = order(count)
    part = np.empty(count, np.int64)
    if classes is None:
        part[shuffled] = np.repeat(np.arange(len(sizes)), sizes)
    else:
        # All of a class in the order of the shuffle, as many to each part as the table says.
        in_order = shuffled[np.argsort(classes[shuffled], kind="stable")]
        table = allocate(np.bincount(classes), sizes)
        part[in_order] = np.repeat(np.tile(np.arange(len(sizes)), len(table)), table.reshape(-1))
    return [np.flatnonzero(part == index) for index in range(len(sizes))]


def split_group_indices(
    groups: np.ndarray, sizes: np.ndarray, classes: np.ndarray | None, order: Order
) -> list[np.ndarray]:
    """Row numbers of parts that hold whole groups, of about the given sizes.

    The largest group comes first; each goes where it brings the classes' numbers nearest to what they should
    be. Raises ValueError if a part stays empty.
    """
    number = int(groups.max()) + 1
    classes = np.zeros(len(groups), np.int64) if classes is None else classes
    table = np.zeros((number, int(classes.max()) + 1))
    np.add.at(table, (groups, classes), 1)
    wanted = np.outer(sizes / sizes.sum(), table.sum(axis=0))
    weight = 1 / table.sum(axis=0)
    filled, goes = np.zeros_like(wanted), np.zeros(number, np.int64)
    open_parts = sizes > 0
    shuffled = order(number)
    left = number
    for group in shuffled[np.argsort(-table[shuffled].sum(axis=1), kind="stable")]:
        grown = table[group] * (2 * (filled - wanted) + table[group])
        cost = np.where(open_parts, (grown * weight).sum(axis=1), np.inf)
        empty = open_parts & (filled.sum(axis=1) == 0)
        if left <= empty.sum():
            cost = np.where(empty, cost, np.inf)
        part = int(cost.argmin())
        filled[part] += table[group]
        goes[group] = part
        left -= 1
    if number < open_parts.sum():
        raise ValueError(
            f"{number} groups cannot be split into {open_parts.sum()} parts: no group is torn apart"
        )
    return [np.flatnonzero(goes[groups] == index) for index in range(len(sizes))]


def split_validation(
    y: Any, count: int, fraction: float, mode: str, order: Order
) -> tuple[np.ndarray, np.ndarray, str]:
    """Row numbers for training and for validation (fit's validation_split), and a sentence that says what was
    done.

    mode: "auto" shuffles, and keeps the classes' proportions where `y` are labels; "tail" takes the last
    rows.
    """
    held = int(count * fraction) if mode == "tail" else round(count * fraction)
    if held == 0 or held == count:
        raise ValueError(
            f"validation_split={fraction} of {count:,} samples leaves "
            f"{'nothing to validate on' if held == 0 else 'nothing to train on'}"
        )
    if mode == "tail":
        rows = np.arange(count)
        return rows[:-held], rows[-held:], f"the last {held:,} of {count:,} samples are held out"
    labels = class_ids(y) if isinstance(y, np.ndarray) else None
    classes = None if labels is None else np.unique(labels, return_inverse=True)[1].reshape(-1)
    if classes is not None and not 1 < classes.max() + 1 <= max(2, held):
        classes = None
    train, rows = split_indices(count, np.array([count - held, held]), classes, order)
    how = "shuffled" if classes is None else "shuffled, every class in proportion"
    return train, rows, f"{held:,} of {count:,} samples are held out, {how}"
