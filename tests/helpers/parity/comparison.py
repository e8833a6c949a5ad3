"""Comparison of both sides in one case: aspects that are equal, and aspects that differ."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src.backend.common import global_state

import hornbeam
from tests.helpers.parity.reasons import DIFFERENT
from tests.helpers.parity.tolerances import TOLERANCES


def to_array(x: Any) -> np.ndarray:
    """A tensor of either side, or a number, as NumPy has it; bfloat16 as float32."""
    array = np.asarray(x)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def dtype_of(x: Any) -> str:
    """The dtype's name, for tensors of either side; JAX keeps integers in 32 bits."""
    name = x.dtype if isinstance(x.dtype, str) else np.dtype(x.dtype).name
    return {"int64": "int32", "uint64": "uint32"}.get(name, name)


def leaves(structure: Any) -> list[Any]:
    """The values in nested lists, tuples and dicts, in order; None counts as a value."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in leaves(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in leaves(part)]
    return [structure]


class NothingToCompare(Exception):
    """Keras does not do this, so a check neither counts as equal nor as different."""


class Comparison:
    """Collects the checks of one case; reasons.py lists one as `family/case/aspect`."""

    def __init__(self, family: str, case: str) -> None:
        self.family, self.case = family, case
        self.equal_ones: list[str] = []
        self.differences: dict[str, str] = {}

    def check(self, aspect: str, compare: Callable[[], None]) -> None:
        """One check: `compare` raises where the sides differ, and NothingToCompare for no check."""
        key = f"{self.family}/{self.case}/{aspect}"
        try:
            compare()
        except NothingToCompare:
            return
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            self.differences[key] = f"{kind}{error}"
        else:
            self.equal_ones.append(key)

    def same(self, aspect: str, ours: Any, theirs: Any) -> None:
        """Plain values: names, shapes, configs."""

        def compare() -> None:
            assert ours == theirs, "\n".join(["", *differences(ours, theirs)])

        self.check(aspect, compare)

    def close(self, aspect: str, ours: Any, theirs: Any, tolerance: str | None = None) -> None:
        """Values in equal structures: shapes, dtypes and numbers, within the family's tolerance."""
        self.check(aspect, lambda: assert_close(ours, theirs, *TOLERANCES[tolerance or self.family]))

    def finish(self) -> None:
        """Fail for differences without a reason, and for reasons without a difference."""
        text = [f"{key}: {name.strip()}" for key, name in self.differences.items() if reason_for(key) is None]
        text += [
            f"{key} is equal by now: take it out of reasons.py" for key in self.equal_ones if key in DIFFERENT
        ]
        if text:
            pytest_fail("\n".join(text))

    def counts(self) -> dict[str, Any]:
        """For the report."""
        explained = {key: reason_for(key) for key in self.differences}
        return {
            "family": self.family,
            "equal": len(self.equal_ones),
            "different": {key: reason for key, reason in explained.items() if reason},
            "unexplained": [key for key, reason in explained.items() if not reason],
        }


def pytest_fail(text: str) -> None:
    import pytest

    pytest.fail(text, pytrace=False)


def reason_for(key: str) -> str | None:
    """Why a check may come out different."""
    if key in DIFFERENT:
        return DIFFERENT[key]
    return next((why for pattern, why in DIFFERENT.items() if fnmatch.fnmatchcase(key, pattern)), None)


def assert_close(ours: Any, theirs: Any, relative: float, absolute: float) -> None:
    """Fail unless shapes, dtypes and numbers agree, leaf by leaf."""
    mine, others = leaves(ours), leaves(theirs)
    assert len(mine) == len(others), f"{len(mine)} values here, {len(others)} there"
    for index, (a, b) in enumerate(zip(mine, others, strict=True)):
        where = f"value {index}: " if len(mine) > 1 else ""
        assert (a is None) == (b is None), f"{where}{a!r} here, {b!r} there"
        if a is None:
            continue
        if hasattr(a, "dtype") and hasattr(b, "dtype"):
            assert dtype_of(a) == dtype_of(b), f"{where}dtype {dtype_of(a)} here, {dtype_of(b)} there"
        x, y = to_array(a), to_array(b)
        assert x.shape == y.shape, f"{where}shape {x.shape} here, {y.shape} there"
        if x.dtype.kind in "USO":
            assert x.tolist() == y.tolist(), f"{where}\n{x}\n{y}"
            continue
        x, y = x.astype("float64"), y.astype("float64")
        # The absolute part grows with the largest value: sums round as their terms do.
        finite = np.abs(y[np.isfinite(y)])
        scale = max(1.0, float(finite.max())) if finite.size else 1.0
        wrong = ~np.isclose(x, y, rtol=relative, atol=absolute * scale, equal_nan=True)
        assert not wrong.any(), (
            f"{where}{int(wrong.sum())} of {wrong.size} numbers differ, by up to "
            f"{np.nanmax(np.abs(x - y)):.3g} (largest {scale:.3g}); first {x[wrong][0]:.7g} here, "
            f"{y[wrong][0]:.7g} there"
        )


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """One line for each place in which two nested structures differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        keys = [*ours, *(key for key in theirs if key not in ours)]
        pairs = [(key, ours.get(key, "(nothing)"), theirs.get(key, "(nothing)")) for key in keys]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(index, a, b) for index, (a, b) in enumerate(zip(ours, theirs, strict=True))]
    else:
        return [f"  {where or 'value'}: {ours!r} here, {theirs!r} there"]
    return [line for key, a, b in pairs if a != b for line in differences(a, b, f"{where}[{key!r}]")]


def plain(config: Any) -> Any:
    """A config without what means nothing: tuples or lists, and more than 24 bits of a number."""
    if isinstance(config, float):
        return float(np.float32(config))
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    if hasattr(config, "__array__"):
        return plain(np.asarray(config).tolist())
    return config


def names_of_weights(layer: Any) -> list[tuple[str, tuple[int, ...], str, bool]]:
    """Name, shape, dtype and whether it is trained, of each weight in order."""
    return [(w.path.split("/")[-1], tuple(w.shape), dtype_of(w), w.trainable) for w in layer.weights]


def order_of_layers(model: Any) -> list[str]:
    """The layers as they come, each called by its class and its number among those of the class, inner ones
    too.

    What Keras makes behind the scenes is counted in names, so names are not the same.
    """
    result: dict[str, list[int]] = {}
    results = []
    for layer in model.layers:
        kind, _, number = layer.name.rpartition("_")
        kind, number = (kind, int(number)) if number.isdigit() else (layer.name, 0)
        result.setdefault(kind, []).append(number)
        results.append((kind, number, getattr(layer, "layers", None) and order_of_layers(layer)))
    return [f"{kind} {sorted(result[kind]).index(number)} {inner or ''}" for kind, number, inner in results]


def fresh() -> None:
    """Both sides count names from the start, so that configs and paths are comparable."""
    # Not keras.backend.clear_session, which collects garbage: a fifth of a second.
    global_state.set_global_attribute("object_name_uids", defaultdict(int))
    hornbeam.backend.clear_session()
