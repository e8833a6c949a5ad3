"""`find_leaks`: what the test data tell the model before the test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from hornbeam._internal.row_hash import HashSketch, hash_rows
from hornbeam.data.inspection.near_duplicates import Twins, near_twins, same_twins
from hornbeam.data.inspection.scaling import scaling_leaks
from hornbeam.data.samples import as_samples, count_samples, is_table, named_arrays
from hornbeam.data.splits.sealed import Sealed
from hornbeam.data.splits.split import NAMES, Split

_SHOWN = 5


class Leak(NamedTuple):
    """A way from one part of the data to another.

    kind: "same sample", "nearly the same sample", "same group", "fitted on held-out data" or "scaled before
    the split". parts: the names of the parts. number: samples (or groups) of the second part that
    it concerns. rows: pairs of row numbers, as far as there are any. text: what was found and what to do.
    """

    kind: str
    parts: tuple[str, ...]
    number: int
    rows: list[tuple[int, int]]
    text: str


class Leaks(list[Leak]):
    """The leaks that were found; printed, a report."""

    def __str__(self) -> str:
        if not self:
            return "No leak was found."
        return "\n".join(f"{number}. {leak.kind}: {leak.text}" for number, leak in enumerate(self, 1))

    __repr__ = __str__


def find_leaks(
    train: Any,
    test: Any = None,
    validation: Any = None,
    *,
    groups: Any = None,
    layers: Any = None,
    near: bool = True,
) -> Leaks:
    """Find out whether parts of the data that should have nothing in common have.

    train, test, validation: x or (x, y) of each part, as for `split`; or the `Split` that `split` gave as
    train alone; test may be sealed (this is no look). groups: {"train": one value a sample, "test": ...}, or
    for a Split one value for each sample before the split. layers: a layer that was adapted, a list of such,
    a model or a FeatureSpace. near: look for nearly equal samples, too (numbers only).

    Finds the same sample in two parts, nearly the same (by a tenth of the usual distance of neighbours, in
    samples of 8 numbers or more), the same group, layers whose `adapt` saw held-out samples, and numbers that
    were scaled before the split (their means are 0 and deviations 1, or ranges 0 to 1, over all parts
    together and not over the training part). Equal rows that chance explains, as in tables of a few
    categories, are no leak. What it does not find may still be there: a picture cropped, a patient without a
    number, a column that holds the answer.

    Gives `Leaks`, a list that prints as a report and is empty if there are none.

    >>> x = np.random.default_rng(0).normal(size=(100, 8))
    >>> hornbeam.data.find_leaks(train=x[:80], test=x[80:])
    No leak was found.
    >>> hornbeam.data.find_leaks(train=x[:80], test=x[75:])[0].number
    5
    """
    given, groups = _given(train, test, validation, groups)
    parts = {name: _Part(name, data) for name, data in given.items() if data is not None}
    if len(parts) < 2 and not layers:
        raise ValueError("find_leaks compares parts: give test=, validation= or both")
    columns = {tuple(part.arrays) for part in parts.values()}
    if len(columns) > 1:
        raise ValueError(f"the parts hold different arrays or columns: {' against '.join(map(str, columns))}")
    found = Leaks()
    for one, other in itertools.combinations(parts.values(), 2):
        found += _samples(one, other, near)
    if groups is not None:
        found += _groups(groups)
    found += _fitted(parts, layers)
    for leak in scaling_leaks({name: part.arrays for name, part in parts.items()}):
        found.append(Leak("scaled before the split", *leak))
    return found


class _Part:
    """A part of the data: its arrays by their names."""

    def __init__(self, name: str, data: Any) -> None:
        self.name = name
        x = data[0] if isinstance(data, tuple) and len(data) in (2, 3) else data
        x = as_samples(x, "x")
        self.count = count_samples(x)
        self.arrays = named_arrays(x, "x")


def _given(train: Any, test: Any, validation: Any, groups: Any) -> tuple[dict[str, Any], Any]:
    if isinstance(train, Split):
        if test is not None or validation is not None:
            raise ValueError("a Split brings its own parts: leave test and validation away")
        if groups is not None and not isinstance(groups, Mapping):
            values = _flat_groups(groups)
            groups = {name: values[rows] for name, rows in train.rows.items() if len(rows)}
        train, validation, test = train
    if isinstance(test, Sealed):
        test = test._unsealed()[:2]
    if groups is not None and not isinstance(groups, Mapping):
        raise ValueError('groups must be {"train": one value a sample, "test": ...}')
    unknown = set(groups or ()) - set(NAMES)
    if unknown:
        raise ValueError(f"groups has the parts {sorted(unknown)}; known are {', '.join(NAMES)}")
    return {"train": train, "validation": validation, "test": test}, groups


# -- samples -----------------------------------------------------------------------------------------


def _samples(one: _Part, other: _Part, near: bool) -> Iterator[Leak]:
    same = same_twins(one.arrays, other.arrays)
    if len(same.rows):
        yield _leak_of("same sample", one, other, same, "are also in")
    if near:
        alike = near_twins(one.arrays, other.arrays, same.equal)
        if len(alike.rows):
            yield _leak_of("nearly the same sample", one, other, alike, "are nearly the same as one in")


def _leak_of(kind: str, one: _Part, other: _Part, twins: Twins, verb: str) -> Leak:
    pairs = [(int(a), int(b)) for a, b in twins.rows]
    shown = ", ".join(f"{other.name}[{b}] = {one.name}[{a}]" for a, b in pairs[:_SHOWN])
    number = len(pairs)
    text = (
        f"{number:,} of {other.count:,} {other.name} samples {verb} {one.name} ({shown}"
        f"{', ...' if number > _SHOWN else ''}): the score on them shows what was learned by heart. Drop "
        "repeated samples before splitting, or split by groups="
    )
    return Leak(kind, (one.name, other.name), number, pairs, text)


def _groups(groups: Mapping[str, Any]) -> Iterator[Leak]:
    values = {name: _flat_groups(groups[name]) for name in NAMES if groups.get(name) is not None}
    for (one, ours), (other, theirs) in itertools.combinations(values.items(), 2):
        both = np.intersect1d(ours, theirs)
        if not len(both):
            continue
        pairs = [(int((ours == g).argmax()), int((theirs == g).argmax())) for g in both[:100]]
        rows = int(np.isin(theirs, both).sum())
        shown = ", ".join(map(str, both[:_SHOWN].tolist())) + (", ..." if len(both) > _SHOWN else "")
        text = (
            f"{len(both):,} groups are in {one} and in {other} ({shown}), with {rows:,} of {len(theirs):,} "
            f"{other} samples: a model can know the group instead of the answer. Split by groups="
        )
        yield Leak("same group", (one, other), len(both), pairs, text)


def _flat_groups(values: Any) -> np.ndarray:
    values = as_samples(values, "groups")
    array = values.to_numpy() if is_table(values) else np.asarray(values)
    array = array.reshape(-1)
    return array.astype("U") if array.dtype == object else array


# -- layers ------------------------------------------------------------------------------------------


def _fitted(parts: Mapping[str, _Part], layers: Any) -> Iterator[Leak]:
    train = parts["train"].arrays
    for layer in adapted_layers(layers):
        for name in ("validation", "test"):
            if name not in parts:
                continue
            others = [part.arrays for key, part in parts.items() if key not in ("train", name)]
            seen = max(
                saw(layer._adapted_on, train[key], parts[name].arrays[key], [other[key] for other in others])
                for key in train
            )
            if seen:
                text = (
                    f"adapt() of {layer.describe()} saw {seen:,} samples that are in {name} alone: what it "
                    f"learned of {name} data is in the model. Call adapt(x_train) with the training part"
                )
                yield Leak("fitted on held-out data", (name,), seen, [], text)


def adapted_layers(layers: Any) -> list[Any]:
    """The adapted layers in a layer, a list, a model or a FeatureSpace. Raises ValueError for others."""
    if layers is None:
        return []
    if isinstance(layers, (list, tuple)):
        return [inner for layer in layers for inner in adapted_layers(layer)]
    if hasattr(layers, "preprocessors"):
        return adapted_layers(list(layers.preprocessors.values()))
    if not hasattr(layers, "_flatten_layers"):
        raise ValueError(f"layers must be layers or models, got {type(layers).__name__}")
    return [layer for layer in layers._flatten_layers() if getattr(layer, "_adapted_on", None) is not None]


def saw(known: HashSketch, train: np.ndarray, held: np.ndarray, others: list[np.ndarray]) -> int:
    """How many rows of `held`, found neither in `train` nor in `others`, a layer saw in `adapt`; 0 if that
    may be chance: it saw still other data, and they explain it as well."""
    if held.dtype.kind not in "biufOSUT":
        return 0
    elsewhere = np.concatenate([known.comparable(hash_rows(array)) for array in (train, *others)])
    words = known.comparable(hash_rows(held))
    own = words[~np.isin(words, elsewhere)]
    hits = int(known.has(own).sum())
    strangers = len(np.setdiff1d(known.words, np.concatenate([elsewhere, words]), assume_unique=False))
    if not hits or not strangers:
        return hits
    most = hits >= 0.9 * len(own) and len(np.unique(own)) >= 20 and 2 * len(own) >= len(words)
    return hits if most else 0
