"""Test sets under seal: they can be evaluated, and every look is counted."""

from __future__ import annotations

import json
import os
import time
import uuid
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from hornbeam import tree
from hornbeam._internal.row_hash import fingerprint
from hornbeam.data.samples import as_samples, check_same_count, count_samples, named_arrays

T = TypeVar("T")

_ORDINALS = (
    "",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
)

_living: weakref.WeakSet[Sealed] = weakref.WeakSet()


class SealedError(TypeError):
    """A sealed test set was to be trained, tuned or validated on, or taken apart."""


class Sealed:
    """What `seal` gives. `looks` is how often it was looked at, `len` the number of samples."""

    def __init__(self, x: Any, y: Any, sample_weight: Any, name: str, path: Any) -> None:
        self._data = x, y, sample_weight
        self.name = name
        self.path = None if path is None else Path(path)
        self.fingerprint = fingerprint([list(named_arrays(part, "x").values()) for part in self._data])
        self._looks = 0
        _living.add(self)

    @property
    def looks(self) -> int:
        """How often it was looked at: by this object, or with a path for the count by all processes."""
        return self._looks if self.path is None else len(self._lines())

    def _lines(self) -> list[str]:
        """The ids of all looks at these samples that the file has."""
        if self.path is None or not self.path.exists():
            return []
        found = []
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            try:
                entry = json.loads(line)
                if entry["samples"] == self.fingerprint:
                    found.append(entry["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}, line {number}, is no look at a test set: {line[:60]!r}"
                ) from error
        return found

    def count(self, what: str) -> str:
        """Count a look, and give the sentence that says which it is. what: who looks."""
        if self.path is None:
            self._looks += 1
            number = self._looks
        else:
            mark = uuid.uuid4().hex
            entry = {"id": mark, "samples": self.fingerprint, "time": time.strftime("%FT%T%z"), "what": what}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One write at the end of the file: looks of several processes stand one behind the other.
            with open(self.path, "ab", buffering=0) as file:
                file.write((json.dumps(entry) + "\n").encode())
                os.fsync(file.fileno())
            number = self._lines().index(mark) + 1
        return self.sentence(number)

    def sentence(self, number: int) -> str:
        """What a look with this number is worth."""
        which = _ORDINALS[number] if number < len(_ORDINALS) else f"{number:,}th"
        of = f"{which} look at {self.name} ({len(self):,} samples)"
        if number == 1:
            return f"{of}: the number is honest if nothing was chosen by these samples"
        return f"{of}: the number is optimistic if anything was chosen by an earlier one"

    def look(self, function: Callable[..., T]) -> T:
        """What `function(x, y)` returns (with sample weights as a third argument if there are any), for
        numbers and pictures that `evaluate` does not give. It counts as a look, and says so."""
        from hornbeam.distribution.processes import say

        say(self.count(getattr(function, "__name__", type(function).__name__)))
        return function(*(part for part in self._data if part is not None))

    def _opened(self) -> tuple[Any, Any, Any]:
        return self._data

    def _refuse(self, what: str) -> NoReturn:
        raise SealedError(
            f"{what}: {self.name} is sealed. It tells how good the finished model is, so nothing may be "
            "learned, tuned or chosen by it: use validation_split=0.1 or data.split for that, then "
            "model.evaluate(sealed), or sealed.look(function) for other numbers"
        )

    def __len__(self) -> int:
        return count_samples(self._data[0])

    def __repr__(self) -> str:
        times = self.looks
        return f"<{self.name}, sealed: {len(self):,} samples, looked at {times} time{'s' * (times != 1)}>"

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        self._refuse("its arrays are not given out")

    def __getitem__(self, key: Any) -> Any:
        self._refuse("its samples are not given out")

    def __iter__(self) -> Any:
        self._refuse("its samples are not given out")

    def __reduce__(self) -> Any:
        self._refuse("it is not pickled or copied, as that would start another count")

    def __getattr__(self, name: str) -> Any:
        if name in ("x", "y", "data", "values", "shape", "T"):
            self._refuse(f"its {name} is not given out")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def seal(
    x: Any, y: Any = None, sample_weight: Any = None, *, name: str = "this test set", path: Any = None
) -> Sealed:
    """A test set that can be evaluated (`model.evaluate(sealed)`), but not trained, tuned or validated on.

    Every look is counted and said: the first number is honest, one that was chosen by earlier looks is not.
    While the seal lives, `fit` refuses the arrays that went into it, too, and `evaluate` counts them.

    x, y, sample_weight: as for `evaluate`, in memory. name: what messages call it. path: a file for the
    count, made if it is not there, by which looks of several processes count; it holds a line for each look,
    with a fingerprint of the samples, and may serve several test sets.

    Using it otherwise raises SealedError. It guards against mistakes; Python hides nothing from who insists.

    >>> sealed = hornbeam.data.seal(np.zeros((4, 2)), np.zeros(4))
    >>> sealed
    <this test set, sealed: 4 samples, looked at 0 times>
    >>> sealed.look(lambda x, y: x.shape)
    first look at this test set (4 samples): the number is honest if nothing was chosen by these samples
    (4, 2)
    """
    given = {"x": x, "y": y, "sample_weight": sample_weight}
    parts = {key: None if part is None else as_samples(part, key) for key, part in given.items()}
    check_same_count(**parts)
    return Sealed(parts["x"], parts["y"], parts["sample_weight"], name, path)


def find_sealed(data: Any) -> Sealed | None:
    """The sealed set that `data` is, or whose arrays (or rows of them, as views) are in it; else None."""
    for leaf in tree.flatten(data):
        if isinstance(leaf, Sealed):
            return leaf
        for sealed in list(_living):
            if any(_is_of(leaf, mine) for mine in tree.flatten(sealed._data[0])):
                return sealed
    return None


def _is_of(array: Any, mine: Any) -> bool:
    if array is mine:
        return array is not None
    if not isinstance(array, np.ndarray) or not isinstance(mine, np.ndarray):
        return False
    if not np.may_share_memory(array, mine):
        return False
    try:
        return bool(np.shares_memory(array, mine, max_work=10_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return False


def refuse_sealed(data: Any, what: str) -> None:
    """Raise SealedError if there is something sealed in `data`. what: what was to be done with it."""
    found = find_sealed(data)
    if found is not None:
        found._refuse(what)
