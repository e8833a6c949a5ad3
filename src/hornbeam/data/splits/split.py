"""`split`: training, validation and test samples without overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_number
from hornbeam.data.samples import (
    as_samples,
    check_same_count,
    is_table,
    named_arrays,
    take_samples,
    target_of,
)
from hornbeam.data.splits.allocation import allocate
from hornbeam.distribution.processes import print_once
from hornbeam.random import global_seed_generator, host_permutation

# Function of a count that returns 0 ... count - 1 in some order.
Order = Callable[[int], np.ndarray]

NAMES = ("train", "validation", "test")


def random_permutation(count: int) -> np.ndarray:
    """Return 0 ... count - 1 in a new order, drawn from the global seed."""
    return host_permutation(global_seed_generator().host_next(), count)


def permutation_function(seed: int | None) -> Order:
    """Return a function that draws permutations from a seed, or from the global one for None."""
    return random_permutation if seed is None else lambda count: host_permutation(seed, count)


@dataclass(frozen=True, repr=False)
class Split:
    """Result of `split`: `train`, `validation` and `test`; unpacks into those that were requested.

    Each part is (x, y), or x without y; None for a part that was not requested. `rows` holds the row numbers
    of each part by name, `summary` states sizes and method.
    """

    train: Tree
    validation: Tree
    test: Tree
    rows: dict[str, np.ndarray]
    summary: str

    def __iter__(self) -> Iterator[Any]:
        return (part for part in (self.train, self.validation, self.test) if part is not None)

    def __repr__(self) -> str:
        return f"<Split: {self.summary}>"


def split(
    x: Tree,
    y: Tree = None,
    *,
    validation: float | int | None = 0.1,
    test: float | int | None = 0.1,
    groups: ArrayLike | None = None,
    stratify: str | bool | ArrayLike | None = "auto",
    seed: int | None = None,
    verbose: bool = True,
) -> Split:
    """Split samples into parts for training, validation and test, and print their sizes.

    Args:
        x: Samples: arrays, lists or dicts of arrays, frames, lists of numbers or strings.
        y: Targets of the samples; the name of their column in `x`; or None.
        validation: Fraction below 1 or number of samples for validation; 0 or None for none.
        test: Fraction below 1 or number of samples for the test set; 0 or None for none.
        groups: One value a sample (a patient, a document, a day). Samples of one group are never separated,
            so sizes are as close as groups allow.
        stratify: "auto" keeps the proportion of each class in each part, to within one sample, if `y` are
            labels; True requires it; False draws without regard to classes; or an array of classes.
        seed: Seed of the split; drawn from the global seed if None. Equal seeds give equal parts.
        verbose: Whether to print the summary.

    Returns:
        A `Split`, which unpacks into train, validation and test, without a part that was not requested.

    Raises:
        ShapeError: If lengths differ.
        HornbeamTypeError: If `y` names a column of data that have none.
        ValueError: If nothing is left to train on, groups are too few, or stratify=True without classes.

    Example:
        >>> x, y = np.arange(10.0), np.repeat([0, 1], 5)
        >>> train, validation, test = hornbeam.data.split(x, y, validation=2, test=2, seed=0)
        10 samples: 6 train, 2 validation, 2 test; shuffled, stratified
        >>> test[1].tolist()
        [0, 1]
    """
    x, y = target_of(x, y)
    x, y = as_samples(x, "x"), None if y is None else as_samples(y, "y")
    count = check_same_count(x=x, y=y)
    sizes = split_sizes(count, validation, test)
    classes = stratification_classes(y, stratify, count)
    order = permutation_function(seed)
    if groups is None:
        parts = split_indices(count, sizes, classes, order)
    else:
        parts = split_group_indices(group_ids(groups, count), sizes, classes, order)
    data = x if y is None else (x, y)
    rows = dict(zip(NAMES, parts, strict=True))
    shown = ", ".join(f"{len(part):,} {name}" for name, part in rows.items() if len(part))
    method = "shuffled" if groups is None else "whole groups shuffled"
    if classes is not None:
        method += ", stratified" + ("" if groups is None else " as far as groups allow")
    summary = f"{count:,} samples: {shown}; {method}"
    if verbose:
        print_once(summary)
    samples = {name: take_samples(data, part) if len(part) else None for name, part in rows.items()}
    return Split(**samples, rows=rows, summary=summary)


def split_sizes(count: int, validation: float | int | None, test: float | int | None) -> np.ndarray:
    """Return the sizes of training, validation and test parts. Raises ValueError for impossible ones."""
    held_out = []
    for name, size in (("validation", validation), ("test", test)):
        number = check_number(name, 0 if size is None else size, 0)
        is_fraction = isinstance(number, (float, np.floating))
        if is_fraction and number >= 1:
            raise ValueError(f"{name} must be a fraction below 1 or an integer of samples, got {number!r}")
        held_out.append(round(float(number) * count) if is_fraction else int(number))
        if number and not held_out[-1]:
            raise ValueError(f"{name}={number} of {count:,} samples rounds to 0: give a number of samples")
    if sum(held_out) >= count:
        raise ValueError(
            f"{held_out[0]:,} samples for validation and {held_out[1]:,} for test leave nothing of {count:,} "
            "to train on"
        )
    return np.array([count - sum(held_out), *held_out])


# -- classes and groups ------------------------------------------------------------------------------


def class_ids(y: np.ndarray) -> np.ndarray | None:
    """Return the class of every sample if `y` are labels (integers or one-hot rows), else None."""
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


def class_labels(y: Tree) -> np.ndarray | None:
    """Return `class_ids` for results of `as_samples`; strings are labels too. None for several targets."""
    arrays = {} if y is None else named_arrays(y, "y")
    if len(arrays) != 1:
        return None
    (array,) = arrays.values()
    if array.dtype.kind in "OSU":
        flat = array.reshape(len(array), -1)
        text = all(isinstance(value, (str, bytes)) for value in flat[:, 0].tolist())
        return flat[:, 0].astype("U") if flat.shape[1] == 1 and text else None
    return class_ids(array)


def stratification_classes(y: Tree, stratify: str | bool | ArrayLike | None, count: int) -> np.ndarray | None:
    """Return the class 0 ... k - 1 of each sample whose proportions are kept, or None."""
    if stratify is False or stratify is None:
        return None
    if stratify is True or (isinstance(stratify, str) and stratify == "auto"):
        labels = class_labels(y)
        if labels is None and stratify is True:
            raise ValueError("stratify=True needs y of labels: pass an array of classes as stratify instead")
    elif isinstance(stratify, str):
        raise ValueError(f'stratify must be "auto", True, False or an array of classes, got {stratify!r}')
    else:
        labels = np.asarray(_one_value_a_sample(stratify, "stratify", count))
    if labels is None:
        return None
    classes: np.ndarray = np.unique(labels, return_inverse=True)[1].reshape(-1)
    distinct = int(classes.max()) + 1
    # Integers that rarely repeat are quantities, not classes.
    if isinstance(stratify, str) and (distinct < 2 or distinct * 2 > count):
        return None
    return classes


def group_ids(groups: ArrayLike, count: int) -> np.ndarray:
    """Return groups as 0 ... g - 1."""
    ids: np.ndarray = np.unique(_one_value_a_sample(groups, "groups", count), return_inverse=True)[1]
    return ids.reshape(-1)


def _one_value_a_sample(values: Any, name: str, count: int) -> np.ndarray:
    values = as_samples(values, name)
    array = values.to_numpy() if is_table(values) else np.asarray(values)
    if array.shape not in ((count,), (count, 1)):
        raise ValueError(f"{name} must have one value for each of {count:,} samples, got shape {array.shape}")
    array = array.reshape(-1)
    return array.astype("U") if array.dtype == object else array


# -- rows --------------------------------------------------------------------------------------------


def split_indices(
    count: int, sizes: np.ndarray, classes: np.ndarray | None, order: Order
) -> list[np.ndarray]:
    """Return the row numbers of parts of these sizes, each in ascending order."""
    shuffled = order(count)
    part = np.empty(count, np.int64)
    if classes is None:
        part[shuffled] = np.repeat(np.arange(len(sizes)), sizes)
    else:
        # Rows of each class in shuffled order, as many to each part as the table says.
        by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
        table = allocate(np.bincount(classes), sizes)
        part[by_class] = np.repeat(np.tile(np.arange(len(sizes)), len(table)), table.reshape(-1))
    return [np.flatnonzero(part == index) for index in range(len(sizes))]


def split_group_indices(
    groups: np.ndarray, sizes: np.ndarray, classes: np.ndarray | None, order: Order
) -> list[np.ndarray]:
    """Return the row numbers of parts that hold whole groups, of about these sizes.

    Groups are assigned from the largest to the smallest, each to the part where class counts come closest to
    their targets. Raises ValueError if a part stays empty.
    """
    count = int(groups.max()) + 1
    classes = np.zeros(len(groups), np.int64) if classes is None else classes
    table = np.zeros((count, int(classes.max()) + 1))
    np.add.at(table, (groups, classes), 1)
    targets = np.outer(sizes / sizes.sum(), table.sum(axis=0))
    weight = 1 / table.sum(axis=0)
    assigned, part_of_group = np.zeros_like(targets), np.zeros(count, np.int64)
    open_parts = sizes > 0
    shuffled = order(count)
    remaining = count
    for group in shuffled[np.argsort(-table[shuffled].sum(axis=1), kind="stable")]:
        increase = table[group] * (2 * (assigned - targets) + table[group])
        cost = np.where(open_parts, (increase * weight).sum(axis=1), np.inf)
        empty = open_parts & (assigned.sum(axis=1) == 0)
        if remaining <= empty.sum():
            cost = np.where(empty, cost, np.inf)
        part = int(cost.argmin())
        assigned[part] += table[group]
        part_of_group[group] = part
        remaining -= 1
    if count < open_parts.sum():
        raise ValueError(
            f"{count} groups cannot be split into {open_parts.sum()} parts: groups are never separated"
        )
    return [np.flatnonzero(part_of_group[groups] == index) for index in range(len(sizes))]


def split_validation(
    y: Tree, count: int, fraction: float, mode: str, order: Order
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return row numbers for training and validation (fit's validation_split), and a summary.

    mode: "auto" shuffles, and keeps the proportions of classes if `y` are labels; "tail" takes the last rows.
    """
    held_out = int(count * fraction) if mode == "tail" else round(count * fraction)
    if held_out == 0 or held_out == count:
        raise ValueError(
            f"validation_split={fraction} of {count:,} samples leaves "
            f"{'nothing to validate on' if held_out == 0 else 'nothing to train on'}"
        )
    if mode == "tail":
        rows = np.arange(count)
        summary = f"the last {held_out:,} of {count:,} samples are held out"
        return rows[:-held_out], rows[-held_out:], summary
    labels = class_ids(y) if isinstance(y, np.ndarray) else None
    classes = None if labels is None else np.unique(labels, return_inverse=True)[1].reshape(-1)
    if classes is not None and not 1 < classes.max() + 1 <= max(2, held_out):
        classes = None
    train, rows = split_indices(count, np.array([count - held_out, held_out]), classes, order)
    method = "shuffled" if classes is None else "shuffled, stratified"
    return train, rows, f"{held_out:,} of {count:,} samples are held out, {method}"
