"""Checks of data before the first step: finite values, and the shapes that a model's inputs expect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.context import context_variable, override
from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from hornbeam.training.sparse_rows import SparseRows

ONE_SAMPLE = "That is one sample without a batch axis: add it with x[None]"

# Values that are summed at once in the search for NaN.
_CHUNK = 1 << 20


@contextmanager
def explained_samples(model: Any) -> Iterator[None]:
    """Say how to call a model of whose inputs some have no axis of samples, such as states of ONNX files."""
    try:
        yield
    except ShapeError as error:
        fixed = [
            f"{x.name!r} of shape {tuple(x.shape)}"
            for x in getattr(model, "inputs", None) or ()
            if x.shape[:1] != (None,)
        ]
        if fixed:
            error.args = (
                f"{error}\n  inputs of {model.describe()} have no axis of samples ({', '.join(fixed[:5])}): "
                "call it on arrays as they are, model(x) or model.run(None, {name: array, ...})",
            )
        raise


# -- values ----------------------------------------------------------------------------------------


_nan_stops = context_variable("a callback stops at NaN", False)


def nan_stops(stops: bool) -> override[bool]:
    """Warn of values that are not finite, inside, if a callback stops the training that they spoil."""
    return override(_nan_stops, stops)


def check_finite(named: Iterable[tuple[str, np.ndarray]]) -> None:
    """Name the first sample with a NaN or an infinite value, as the warning policy says: by a ValueError."""
    for label, array in named:
        if array.dtype.kind not in "fV":
            continue
        if isinstance(array, SparseRows) and np.isfinite(array.values).all():
            continue
        row = _first_row_not_finite(array)
        if row is not None:
            if np.isnan(np.asarray(array[row], np.float64)).any():
                kind, effect = "NaN", "makes all weights NaN. Remove or replace it, as np.nan_to_num does"
            else:
                kind = "an infinite value"
                effect = "makes the loss infinite or NaN. Mend the division or overflow that it comes from"
            message = f"{label} contains {kind}, first in sample {row}: one such value {effect}"
            if _nan_stops.get():
                warn_user(message, LikelyMistakeWarning)
            else:
                warning_policy.on_warning(message)


def _first_row_not_finite(array: np.ndarray) -> int | None:
    """Index of the first sample that is not finite. The sum of a chunk tells for all of it."""
    rows = max(1, _CHUNK // max(array[0].size if len(array) else 1, 1))
    for start in range(0, len(array), rows):
        chunk = array[start : start + rows]
        with np.errstate(all="ignore"):
            if array.dtype.itemsize >= 4 and np.isfinite(np.add.reduce(chunk, axis=None)):
                continue
        bad = ~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if bad.any():
            return start + int(bad.argmax())
    return None


def check_sample_weight(named: Sequence[tuple[str, np.ndarray]], count: int) -> None:
    """Raise for weights that are not finite or do not have one entry for each of `count` samples."""
    for label, array in named:
        if array.ndim == 0 or len(array) != count:
            raise ShapeError(
                f"{label} has shape {array.shape}, the data have {count:,} samples: give one "
                "weight per sample"
            )
        if array.dtype.kind not in "fiub":
            raise HornbeamTypeError(f"{label} must hold numbers, got dtype {array.dtype}")
    check_finite(named)


# -- inputs of the model ---------------------------------------------------------------------------


def check_inputs(x: Tree, inputs: Tree, where: str) -> None:
    """Compare data with a model's symbolic `inputs`.

    Raises ValueError for missing names and wrong numbers of arrays, ShapeError for shapes.
    """
    symbols = tree.flatten(inputs)
    if isinstance(x, dict):
        arrays = _by_name(x, inputs, symbols, where)
    else:
        arrays = tree.flatten(x) if isinstance(x, (list, tuple)) else [x]
    if len(arrays) != len(symbols):
        listed = ", ".join(tensor.name for tensor in symbols)
        received = f"{len(arrays)} arrays" if len(arrays) != 1 else "one array"
        raise ValueError(
            f"{where} has {len(symbols)} input(s) ({listed}), x holds {received}{_list_hint(x, symbols)}"
        )
    check_order(x, inputs, where)
    for array, tensor in zip(arrays, symbols, strict=True):
        if array is not None:
            if np.dtype(getattr(array, "dtype", float)).kind == "c" and "complex" not in tensor.dtype:
                raise HornbeamTypeError(
                    f"{where}: input {tensor.name!r} takes {tensor.dtype}, x has dtype {array.dtype}. Pass "
                    "its real and imaginary parts (np.stack([x.real, x.imag], -1)) or np.abs(x), or give the "
                    'Input dtype="complex64"'
                )
            hint = shape_hint(tuple(array.shape), tuple(tensor.shape))
            if hint:
                raise ShapeError(
                    f"{where}: input {tensor.name!r} expects shape {tuple(tensor.shape)}, got "
                    f"{tuple(array.shape)}. {hint}"
                )


def check_order(x: Tree, inputs: Tree, where: str) -> None:
    """Ask the warning policy about a list for inputs in a dict: its order is that of the sorted names."""
    named = isinstance(inputs, dict) and len(inputs) > 1 and isinstance(x, (list, tuple))
    if named and list(inputs) != sorted(inputs):
        warning_policy.on_warning(
            f"{where} has its inputs by name ({', '.join(map(str, inputs))}), got a list, whose order must "
            f"be {', '.join(map(str, sorted(inputs)))}: give a dict"
        )


def _list_hint(x: Tree, symbols: Sequence[Any]) -> str:
    """Return advice for a list or tuple of arrays where the model has one input."""
    if len(symbols) != 1 or not isinstance(x, (list, tuple)):
        return ""
    if all(_fits(tuple(part.shape), tuple(symbols[0].shape)[1:]) for part in x):
        return f". For {len(x)} samples make one array: np.stack(x)"
    if len(x) in (2, 3) and isinstance(x, tuple):
        return ". Inputs and targets are two arguments, as in fit(x, y)"
    return ""


def _by_name(x: dict[Any, Any], inputs: Tree, symbols: Sequence[Any], where: str) -> list[Any]:
    names = list(inputs) if isinstance(inputs, dict) else [tensor.name for tensor in symbols]
    absent = [name for name in names if name not in x]
    if absent and not (len(x) == len(symbols) == 1):
        raise ValueError(
            f"{where}: x has no entry for the input {absent[0]!r}.{nearest(str(absent[0]), map(str, x))} "
            f"x has: {', '.join(map(str, x))}; the model's inputs: {', '.join(map(str, names))}"
        )
    if absent:
        return list(x.values())
    return tree.flatten([x[name] for name in (sorted(names) if isinstance(inputs, dict) else names)])


def shape_hint(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> str | None:
    """Return advice for a shape that an input does not take, None if it does.

    A last axis of size 1 may be present or absent.
    """
    sizes, input_sizes = shape[1:], expected[1:]
    if _fits(sizes, input_sizes):
        return None
    if input_sizes[-1:] == (1,) and _fits(sizes, input_sizes[:-1]):
        return None
    if sizes[-1:] == (1,) and _fits(sizes[:-1], input_sizes):
        return None
    if _fits(shape, input_sizes):
        return ONE_SAMPLE
    same_count = None not in input_sizes and np.prod(sizes) == np.prod(input_sizes)  # type: ignore[arg-type]
    reshape = f"x.reshape(({', '.join(['-1', *map(str, input_sizes)])}))"
    if len(sizes) < len(input_sizes):
        if same_count:
            return f"Reshape the data: {reshape}"
        return f"{len(input_sizes) - len(sizes)} axis (or more) is missing"
    if same_count:
        if sorted(sizes) == sorted(input_sizes):  # type: ignore[type-var]
            return "The axes seem to be in another order: transpose them with np.transpose or np.moveaxis"
        return f"Reshape the data ({reshape}), or begin the model with Flatten"
    return "Change the data, or the Input of the model"


def _fits(sizes: tuple[int, ...], input_sizes: tuple[int | None, ...]) -> bool:
    return len(sizes) == len(input_sizes) and all(
        w is None or s == w for s, w in zip(sizes, input_sizes, strict=True)
    )
