"""`find_leaks`: information about held-out data in the training data or the model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hornbeam._internal.row_hash import HashSketch, hash_rows
from hornbeam._internal.terminal import columns, folded
from hornbeam.data.inspection.near_duplicates import (
    DuplicatePairs,
    find_exact_duplicates,
    find_near_duplicates,
)
from hornbeam.data.inspection.scaling import find_scaling_leaks
from hornbeam.data.samples import as_samples, count_samples, is_table, named_arrays
from hornbeam.data.splits.sealed import Sealed
from hornbeam.data.splits.split import NAMES, Split
from hornbeam.layers.weights import flatten_layers

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.layers import Layer

_SHOWN = 5


class Leak(NamedTuple):
    """Data leakage between parts of the data.

    kind: "same sample", "near-duplicate", "same group", "fitted on held-out data" or "scaled before the
    split". parts: names of the parts. number: affected samples (or groups) of the second part. rows: pairs of
    row numbers, where known. text: evidence and advice.
    """

    kind: str
    parts: tuple[str, ...]
    number: int
    rows: list[tuple[int, int]]
    text: str


class Leaks(list[Leak]):
    """Result of `find_leaks`: a list that prints as a report."""

    def __str__(self) -> str:
        if not self:
            return "No leak was found."
        lines = [f"{number}. {leak.kind}: {leak.text}" for number, leak in enumerate(self, 1)]
        return folded("\n".join(lines), columns(), "   ")

    __repr__ = __str__


def find_leaks(
    train: Tree | Split,
    test: Tree | Sealed = None,
    validation: Tree = None,
    *,
    groups: Tree = None,
    layers: Layer | Sequence[Layer] | None = None,
    near: bool = True,
) -> Leaks:
    """Find data leakage between parts that should be independent.

    It finds the same sample in two parts; near-duplicates (closer than a tenth of the usual distance of
    neighbors, in samples of at least 8 numbers); the same group; layers whose `adapt` saw held-out samples;
    and data that were scaled before the split (their means are 0 and standard deviations 1, or ranges 0 to
    1, over all parts together and not over the training part). Equal rows that chance explains, as in tables
    of a few categories, are not reported. Other leaks are not found: a cropped image, a patient without an
    identifier, a column that contains the answer.

    Args:
        train: x or (x, y) of the training part, as for `split`; or the `Split` that `split` returned, without
            `test` and `validation`.
        test: x or (x, y) of the test part, or None. It may be sealed (this does not count as a use).
        validation: x or (x, y) of the validation part, or None.
        groups: {"train": one value a sample, "test": ...}; for a Split one value for each sample before the
            split.
        layers: Adapted layer, list of layers, model or FeatureSpace.
        near: Whether to search for near-duplicates (numbers only).

    Returns:
        `Leaks`: a list that prints as a report, empty if nothing is found.

    Raises:
        ValueError: If fewer than two parts and no layers are given, or parts have different arrays.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 8))
        >>> hornbeam.data.find_leaks(train=x[:80], test=x[80:])
        No leak was found.
        >>> hornbeam.data.find_leaks(train=x[:80], test=x[75:])[0].number
        5
    """
    data, groups = _normalize_arguments(train, test, validation, groups)
    parts = {name: _Part(name, part) for name, part in data.items() if part is not None}
    if len(parts) < 2 and not layers:
        raise ValueError("find_leaks compares parts: pass test=, validation= or both")
    columns = {tuple(part.arrays) for part in parts.values()}
    if len(columns) > 1:
        raise ValueError(
            f"all parts must have the same arrays or columns, got {' and '.join(map(str, columns))}"
        )
    leaks = Leaks()
    for first, second in itertools.combinations(parts.values(), 2):
        leaks += _duplicate_leaks(first, second, near)
    if groups is not None:
        leaks += _group_leaks(groups)
    leaks += _adapted_layer_leaks(parts, layers)
    for number, text in find_scaling_leaks({name: part.arrays for name, part in parts.items()}):
        leaks.append(Leak("scaled before the split", tuple(parts), number, [], text))
    return leaks


class _Part:
    """Part of the data: its inputs as arrays by name."""

    def __init__(self, name: str, data: Tree) -> None:
        self.name = name
        x = data[0] if isinstance(data, tuple) and len(data) in (2, 3) else data
        x = as_samples(x, "x")
        self.count = count_samples(x)
        self.arrays = named_arrays(x, "x")


def _normalize_arguments(
    train: Tree, test: Tree, validation: Tree, groups: Tree
) -> tuple[dict[str, Any], Any]:
    """Return the parts and the groups by name."""
    if isinstance(train, Split):
        if test is not None or validation is not None:
            raise ValueError("a Split has its own parts: omit test and validation")
        if groups is not None and not isinstance(groups, Mapping):
            values = _flatten_groups(groups)
            groups = {name: values[rows] for name, rows in train.rows.items() if len(rows)}
        train, validation, test = train
    if isinstance(test, Sealed):
        test = test._unsealed()[:2]
    if groups is not None and not isinstance(groups, Mapping):
        raise ValueError('groups must be {"train": one value a sample, "test": ...}')
    unknown = set(groups or ()) - set(NAMES)
    if unknown:
        raise ValueError(f"groups has the parts {sorted(unknown)}, expected {', '.join(NAMES)}")
    return {"train": train, "validation": validation, "test": test}, groups


# -- samples -----------------------------------------------------------------------------------------


def _duplicate_leaks(first: _Part, second: _Part, near: bool) -> Iterator[Leak]:
    exact = find_exact_duplicates(first.arrays, second.arrays)
    if len(exact.rows):
        yield _duplicate_leak("same sample", first, second, exact, "are also in")
    if near:
        similar = find_near_duplicates(first.arrays, second.arrays, exact.equal)
        if len(similar.rows):
            yield _duplicate_leak(
                "near-duplicate", first, second, similar, "are near-duplicates of samples in"
            )


def _duplicate_leak(kind: str, first: _Part, second: _Part, pairs: DuplicatePairs, verb: str) -> Leak:
    rows = [(int(a), int(b)) for a, b in pairs.rows]
    shown = ", ".join(f"{second.name}[{b}] = {first.name}[{a}]" for a, b in rows[:_SHOWN])
    number = len(rows)
    text = (
        f"{number:,} of {second.count:,} {second.name} samples {verb} {first.name} ({shown}"
        f"{', ...' if number > _SHOWN else ''}): the score on them measures memorization. Drop duplicates "
        "before splitting, or split by groups="
    )
    return Leak(kind, (first.name, second.name), number, rows, text)


def _group_leaks(groups: Mapping[str, Any]) -> Iterator[Leak]:
    values = {name: _flatten_groups(groups[name]) for name in NAMES if groups.get(name) is not None}
    for (first, first_groups), (second, second_groups) in itertools.combinations(values.items(), 2):
        common = np.intersect1d(first_groups, second_groups)
        if not len(common):
            continue
        pairs = [
            (int((first_groups == g).argmax()), int((second_groups == g).argmax())) for g in common[:100]
        ]
        rows = int(np.isin(second_groups, common).sum())
        shown = ", ".join(map(str, common[:_SHOWN].tolist())) + (", ..." if len(common) > _SHOWN else "")
        text = (
            f"{len(common):,} groups are in both {first} and {second} ({shown}), with {rows:,} of "
            f"{len(second_groups):,} {second} samples: a model can recognise the group instead of predicting "
            "the answer. Split by groups="
        )
        yield Leak("same group", (first, second), len(common), pairs, text)


def _flatten_groups(values: Tree) -> np.ndarray:
    values = as_samples(values, "groups")
    array = values.to_numpy() if is_table(values) else np.asarray(values)
    array = array.reshape(-1)
    return array.astype("U") if array.dtype == object else array


# -- layers ------------------------------------------------------------------------------------------


def _adapted_layer_leaks(parts: Mapping[str, _Part], layers: Any) -> Iterator[Leak]:
    train = parts["train"].arrays
    for layer in adapted_layers(layers):
        for name in ("validation", "test"):
            if name not in parts:
                continue
            others = [part.arrays for key, part in parts.items() if key not in ("train", name)]
            number = max(
                count_fitted_on(
                    layer._adapted_on, train[key], parts[name].arrays[key], [other[key] for other in others]
                )
                for key in train
            )
            if number:
                text = (
                    f"adapt() of {layer.describe()} saw {number:,} samples that are in {name} alone, so the "
                    f"model has information about {name} data. Call adapt(x_train) with the training part"
                )
                yield Leak("fitted on held-out data", (name,), number, [], text)


def adapted_layers(layers: Any) -> list[Any]:
    """Return the adapted layers in a layer, a list, a model or a FeatureSpace. Raises ValueError for "
    "others."""
    if layers is None:
        return []
    if isinstance(layers, (list, tuple)):
        return [inner for layer in layers for inner in adapted_layers(layer)]
    if hasattr(layers, "preprocessors"):
        return adapted_layers(list(layers.preprocessors.values()))
    if not hasattr(layers, "_flatten_layers"):
        raise ValueError(f"layers must be layers or models, got {type(layers).__name__}")
    return [layer for layer in flatten_layers(layers) if getattr(layer, "_adapted_on", None) is not None]


def count_fitted_on(
    adapted_on: HashSketch, train: np.ndarray, held_out: np.ndarray, others: list[np.ndarray]
) -> int:
    """Return how many rows of `held_out`, in neither `train` nor `others`, a layer was adapted on.

    0 if that may be chance: if the layer also saw other data, which explain the matches as well.
    """
    if held_out.dtype.kind not in "biufOSUT":
        return 0
    elsewhere = np.concatenate([adapted_on.comparable(hash_rows(array)) for array in (train, *others)])
    hashes = adapted_on.comparable(hash_rows(held_out))
    exclusive = hashes[~np.isin(hashes, elsewhere)]
    matches = int(adapted_on.has(exclusive).sum())
    known = np.concatenate([elsewhere, hashes])
    unexplained = len(np.setdiff1d(adapted_on.words, known, assume_unique=False))
    if not matches or not unexplained:
        return matches
    most = (
        matches >= 0.9 * len(exclusive)
        and len(np.unique(exclusive)) >= 20
        and 2 * len(exclusive) >= len(hashes)
    )
    return matches if most else 0
