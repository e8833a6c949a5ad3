"""Functions that are replayed, and those that must be called for every element."""

from __future__ import annotations

import functools
import random
import time
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import ops
from hornbeam.data import Dataset
from hornbeam.data.pipeline import replay
from hornbeam.data.pipeline.purity import is_pure

FACTOR, SIZES = 2.0, (3, 4)
COUNTS = [0]
LAYER = hb.layers.Rescaling(2.0)
MEAN = np.zeros(3)


def helper(x: Any) -> Any:
    return x * FACTOR


def recursive(x: Any, depth: int = 2) -> Any:
    return x if depth == 0 else recursive(x, depth - 1) + 1


def uses_helper(x: Any) -> Any:
    parts = [helper(x) for _ in range(len(SIZES))]
    return sum(parts), ops.reshape(x, (1,) * len(SIZES))


def counts(x: Any) -> Any:
    COUNTS[0] += 1
    return x


def calls_what_counts(x: Any) -> Any:
    return counts(x)


def remembers(x: Any, seen: Any = []) -> Any:  # noqa: B006
    seen.append(1)
    return x + len(seen)


def assigns(x: Any) -> Any:
    global FACTOR
    FACTOR = 3.0
    return x


def imports(x: Any) -> Any:
    import random

    return x + random.random()


def closed_over(value: Any) -> Any:
    return lambda x: x if value is None else x + 1


class Callable:
    def __call__(self, x: Any) -> Any:
        return x


PURE = [
    helper, recursive, uses_helper, closed_over(3), closed_over((1, "a")), closed_over(helper),
    closed_over(ops),
    lambda x, y: (ops.cast(x, "float32") / 255.0, ops.one_hot(y, 10)),
    lambda x: hb.ops.image.resize(x, SIZES),
]  # fmt: skip
OTHERS = [
    counts, calls_what_counts, remembers, assigns, imports, closed_over([]), closed_over(counts), Callable(),
    functools.partial(helper), len, lambda x: x + random.random(), lambda x: np.flip(x), lambda x: LAYER(x),
    lambda x: x - MEAN, lambda x: print(x) or x, lambda x: [time.time() for _ in range(2)],
    closed_over(functools.wraps(len)(lambda x: COUNTS)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(PURE)))
def test_pure(number: int) -> None:
    assert is_pure(PURE[number])


@pytest.mark.parametrize("number", range(len(OTHERS)))
def test_not_pure(number: int) -> None:
    assert not is_pure(OTHERS[number])


def run(function: Any, arrays: Any, called: bool, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The elements that a map gives, by tapes or by calls."""
    if called:
        monkeypatch.setattr(replay, "is_pure", lambda function: False)
    results = list(Dataset.from_tensor_slices(arrays).map(function).as_numpy_iterator())
    monkeypatch.undo()
    return results


X, LABELS = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3)).astype("uint8"), np.arange(6)


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (lambda x, y: (ops.cast(x, "float32") / 255.0, ops.one_hot(y, 10)), (X, LABELS)),
        (lambda x, y: {"image": x[:2] * 2, "label": y, "both": (y, y + 1)}, (X, LABELS)),
        (lambda d: d["x"] + d["y"], {"x": LABELS, "y": LABELS * 0.5}),
        (lambda x: x, X),
        (lambda d: (d["b"], {"z": d["a"] + 1, "a": d["b"] * 2}), {"b": X, "a": LABELS}),
        (lambda x: hb.ops.image.resize(ops.cast(x, "float32"), (2, 7)), X),
        (lambda x: ops.sum(x) > 1000, X),
        (lambda x: ops.where(x > 100, x, 0), X),
    ],
)
def test_tapes_give_what_calls_give(function: Any, arrays: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tapes, calls = (run(function, arrays, called, monkeypatch) for called in (False, True))
    for a, b in zip(tapes, calls, strict=True):
        assert hb.data.elements.spec_of(a) == hb.data.elements.spec_of(b)
        for one, other in zip(*map(hb.data.elements.flatten_parts, (a, b)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_results_do_not_share_the_memory_of_the_source() -> None:
    source = X.copy()
    first = next(Dataset.from_tensor_slices(source).map(lambda x: x).as_numpy_iterator()).copy()
    kept = next(Dataset.from_tensor_slices(source).map(lambda x: x).as_numpy_iterator())
    source[:] = 0
    assert (kept == first).all()


def test_what_cannot_be_traced_is_called() -> None:
    """Draws, values, text, and more forms than are worth it."""
    drawn = list(Dataset.range(5).map(lambda x: hb.random.uniform(())).as_numpy_iterator())
    assert len({float(x) for x in drawn}) == 5
    branches = Dataset.range(4).map(lambda x: x if x > 1 else -x)
    assert [int(x) for x in branches.as_numpy_iterator()] == [0, -1, 2, 3]
    assert list(Dataset.from_tensor_slices(["a", "b"]).map(lambda t: t).as_numpy_iterator()) == ["a", "b"]
    sizes = Dataset.range(40).map(lambda n: ops.ones((int(n) + 1,))).map(lambda x: ops.sum(x))
    assert [int(x) for x in sizes.as_numpy_iterator()] == list(range(1, 41))
    with pytest.raises(Exception, match=r"(?s)element 0") as caught:
        list(Dataset.range(3).map(lambda x: ops.reshape(x, (2, 2))))
    assert "step 2 of the data" in " ".join(getattr(caught.value, "__notes__", [str(caught.value)]))
