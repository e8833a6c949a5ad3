"""Sealed test sets: they can be evaluated, and every use is counted."""

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
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam.data.samples import as_samples, check_same_count, count_samples, named_arrays
from hornbeam.errors import SealedError

T = TypeVar("T")

_ORDINALS = (
    "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip

_instances: weakref.WeakSet[Sealed] = weakref.WeakSet()


class Sealed:
    """Test set that can only be evaluated; create it with `seal`. Its length is the number of samples.

    Args:
        x: Inputs.
        y: Targets, or None.
        sample_weight: Weights of the samples, or None.
        name: Name of the test set in messages.
        path: File that counts the uses of several processes, or None.
    """

    def __init__(
        self, x: Tree, y: Tree, sample_weight: Tree, name: str, path: str | os.PathLike[str] | None
    ) -> None:
        self._data = x, y, sample_weight
        self.name = name
        self.path = None if path is None else Path(path)
        self.fingerprint = fingerprint([list(named_arrays(part, "x").values()) for part in self._data])
        self._uses = 0
        _instances.add(self)

    @property
    def uses(self) -> int:
        """Number of uses so far: of this object, or with a path in all processes."""
        return self._uses if self.path is None else len(self._recorded_ids())

    def _recorded_ids(self) -> list[str]:
        """Return the ids of all uses of these samples in the file."""
        if self.path is None or not self.path.exists():
            return []
        ids = []
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            try:
                entry = json.loads(line)
                if entry["samples"] == self.fingerprint:
                    ids.append(entry["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.path}, line {number}, does not record a use of a test set: {line[:60]!r}"
                ) from error
        return ids

    def record_use(self, caller: str) -> str:
        """Count a use, and return a sentence with its number.

        Args:
            caller: Name of the function that uses the samples, for the file.
        """
        if self.path is None:
            self._uses += 1
            number = self._uses
        else:
            mark = uuid.uuid4().hex
            now = time.strftime("%FT%T%z")
            entry = {"id": mark, "samples": self.fingerprint, "time": now, "caller": caller}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A single append: lines of several processes do not interleave.
            with open(self.path, "ab", buffering=0) as file:
                file.write((json.dumps(entry) + "\n").encode())
                os.fsync(file.fileno())
            number = self._recorded_ids().index(mark) + 1
        return self._sentence(number)

    def _sentence(self, number: int) -> str:
        """Return a sentence on the validity of the score of use `number`, counted from 1."""
        ordinal = _ORDINALS[number] if number < len(_ORDINALS) else f"{number:,}th"
        use = f"{ordinal} use of {self.name} ({len(self):,} samples)"
        if number == 1:
            return f"{use}: the score is unbiased if nothing was chosen by these samples"
        return f"{use}: the score is optimistic if anything was chosen by an earlier one"

    def apply(self, function: Callable[..., T]) -> T:
        """Return `function(x, y)`, for figures and scores that `evaluate` does not compute.

        It counts as a use, which is printed.

        Args:
            function: Function of x and y, and of sample weights as a third argument if present.
        """
        from hornbeam.distribution.processes import print_once

        print_once(self.record_use(getattr(function, "__name__", type(function).__name__)))
        return function(*(part for part in self._data if part is not None))

    def _unsealed(self) -> tuple[Any, Any, Any]:
        return self._data

    def _refuse(self, problem: str) -> NoReturn:
        raise SealedError(
            f"{problem}: {self.name} is sealed. It measures the final model, so nothing may be learned, "
            "tuned or chosen by it: use validation_split=0.1 or data.split for that, then "
            "model.evaluate(sealed), or sealed.apply(function) for other scores"
        )

    def __len__(self) -> int:
        return count_samples(self._data[0])

    def __repr__(self) -> str:
        times = self.uses
        return f"<{self.name}, sealed: {len(self):,} samples, used {times} time{'s' * (times != 1)}>"

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        self._refuse("its arrays are not accessible")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse("its samples are not accessible")

    def __iter__(self) -> NoReturn:
        self._refuse("its samples are not accessible")

    def __reduce__(self) -> NoReturn:
        self._refuse("it cannot be pickled or copied, as that would start another count")

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("x", "y", "data", "values", "shape", "T"):
            self._refuse(f"its {name} is not accessible")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def seal(
    x: Tree,
    y: Tree = None,
    sample_weight: ArrayLike | None = None,
    *,
    name: str = "this test set",
    path: str | os.PathLike[str] | None = None,
) -> Sealed:
    """Seal a test set: `model.evaluate(sealed)` works, but training, tuning and validation are refused.

    Every use is counted and printed: the first score is unbiased, a score that was chosen by earlier uses
    is not. While the seal exists, `fit` also refuses the arrays that it holds, and `evaluate` counts them.
    The seal prevents mistakes, not deliberate access.

    Args:
        x: Inputs, as for `evaluate`, in memory.
        y: Targets, or None.
        sample_weight: Weights of the samples, or None.
        name: Name of the test set in messages.
        path: File that counts the uses of several processes, created if missing. It holds a line for each
            use, with a fingerprint of the samples, and may serve several test sets.

    Returns:
        A `Sealed`, which raises SealedError on any other use.

    Raises:
        ShapeError: If the parts differ in their number of samples.

    Example:
        >>> sealed = hornbeam.data.seal(np.zeros((4, 2)), np.zeros(4))
        >>> sealed
        <this test set, sealed: 4 samples, used 0 times>
        >>> sealed.apply(lambda x, y: x.shape)
        first use of this test set (4 samples): the score is unbiased if nothing was chosen by these samples
        (4, 2)
    """
    arguments = {"x": x, "y": y, "sample_weight": sample_weight}
    parts = {key: None if part is None else as_samples(part, key) for key, part in arguments.items()}
    check_same_count(**parts)
    return Sealed(parts["x"], parts["y"], parts["sample_weight"], name, path)


def find_sealed(data: Tree) -> Sealed | None:
    """Return the sealed set that is in `data`, or whose arrays (or views of them) are; else None."""
    for leaf in tree.flatten(data) if _instances else ():  # nothing is flattened where nothing is sealed
        if isinstance(leaf, Sealed):
            return leaf
        for sealed in list(_instances):
            if any(_shares_memory(leaf, array) for array in tree.flatten(sealed._data[0])):
                return sealed
    return None


def _shares_memory(array: object, sealed_array: object) -> bool:
    if array is sealed_array:
        return array is not None
    if not isinstance(array, np.ndarray) or not isinstance(sealed_array, np.ndarray):
        return False
    if not np.may_share_memory(array, sealed_array):
        return False
    try:
        return bool(np.shares_memory(array, sealed_array, max_work=10_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return False


def check_not_sealed(data: Tree, problem: str) -> None:
    """Raise SealedError if `data` contains a sealed set. problem: the refused use, for the message."""
    sealed = find_sealed(data)
    if sealed is not None:
        sealed._refuse(problem)
