"""From what the user passes as x, y and sample_weight to data that the loop can run over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbeam._internal.naming import nearest
from hornbeam.data import Dataset
from hornbeam.data.pipeline.memory import as_in_memory_rows
from hornbeam.data.pipeline.py_dataset import PyDataset
from hornbeam.data.splits.sealed import Sealed, refuse_sealed
from hornbeam.data.splits.split import random_permutation, split_validation
from hornbeam.training import checks
from hornbeam.training.data import (
    ArrayData,
    StreamData,
    TableData,
    apply_class_weight,
    as_arrays,
    check_lengths,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
    warn_unused,
)
from hornbeam.training.host_inputs import RunHostLayers


def is_stream(x: Any) -> bool:
    """True for what gives batches when it is iterated: datasets, loaders, generators."""
    if isinstance(x, PyDataset):
        return True
    if isinstance(x, (list, tuple, dict, str, bytes)) or hasattr(x, "__array__") or hasattr(x, "to_numpy"):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__")


def _as_it_is(x: Any) -> Any:
    return x


def make_data(
    x: Any,
    y: Any,
    sample_weight: Any,
    batch_size: Any,
    method: str,
    shuffle: Any = False,
    class_weight: Mapping[int, float] | None = None,
    what: str = "x",
    run_host_layers: RunHostLayers = _as_it_is,
) -> ArrayData | StreamData:
    """Checked data. Raises for every mistake that can be seen without the model.

    run_host_layers: what the model's layers for strings make of x.
    """
    size = checks.batch_size(batch_size)
    if shuffle not in (True, False, "batch", None):
        raise ValueError(f'shuffle must be True, False or "batch", got {shuffle!r}')
    if x is None:
        raise ValueError(f"{method}() got no data: {what} is None")
    if method == "fit" or isinstance(x, Sealed):
        refuse_sealed((x, y), f"{method}() got it as {what}")
    if is_stream(x):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"{method}(): {what} is a {type(x).__name__} that gives batches (x, y) itself: leave "
                    f"{name} away"
                )
        warn_unused(batch_size=batch_size)
        table = as_in_memory_rows(x) if isinstance(x, Dataset) and method != "predict" else None
        if table is not None:
            source = x
            x, y, sample_weight = unpack_x_y_sample_weight(table.arrays)
            data = _checked(run_host_layers(x), y, sample_weight, class_weight)
            return TableData(data, table.batch_size, table.rows, table.order, table.endless, source)
        order = random_permutation if shuffle and isinstance(x, PyDataset) else None
        return StreamData(x, order, class_weight, run_host_layers)
    return ArrayData(
        _checked(run_host_layers(x), y, sample_weight, class_weight),
        size,
        order=random_permutation if shuffle else None,
        by_batch=shuffle == "batch",
    )


def _checked(x: Any, y: Any, sample_weight: Any, class_weight: Mapping[int, float] | None) -> Any:
    """Arrays of the user's, packed. Raises for what no model can take."""
    x = as_arrays(x, "x")
    y = as_arrays(y, "y")
    sample_weight = as_arrays(sample_weight, "sample_weight")
    count = check_lengths(x=x, y=y)
    if sample_weight is not None:
        checks.check_sample_weight(sample_weight, count)
    checks.check_finite(x, "x")
    checks.check_finite(y, "y")
    if class_weight is not None:
        sample_weight = apply_class_weight(class_weight, y, sample_weight)
    return pack_x_y_sample_weight(x, y, sample_weight)


def check_end(data: ArrayData | StreamData, steps: int | None, argument: str) -> None:
    """Raise ValueError for data without an end where nobody says how many steps to take."""
    if data.endless and steps is None:
        raise ValueError(f"the data have no end (a Dataset with repeat()?): give {argument}")


def make_validation(
    value: Any, batch_size: Any, run_host_layers: RunHostLayers = _as_it_is
) -> ArrayData | StreamData:
    """Data from `validation_data`."""
    value = checks.validation_pair(value)
    if isinstance(value, tuple):
        x, y, sample_weight = (*value, None, None)[:3]
        return make_data(
            x, y, sample_weight, batch_size, "fit", what="validation_data", run_host_layers=run_host_layers
        )
    size = None if is_stream(value) else batch_size
    return make_data(value, None, None, size, "fit", what="validation_data", run_host_layers=run_host_layers)


def split(
    data: ArrayData | StreamData, fraction: float, mode: str, batch_size: Any
) -> tuple[ArrayData, ArrayData, str]:
    """Training and validation data out of one, and a sentence that says how."""
    if not isinstance(data, ArrayData) or isinstance(data, TableData):
        raise ValueError(
            "validation_split needs arrays in memory: give the validation part of a dataset or generator as "
            "validation_data"
        )
    if mode not in ("auto", "tail"):
        hint = nearest(str(mode), ["auto", "tail"])
        raise ValueError(f'validation_split_mode must be "auto" or "tail", got {mode!r}.{hint}')
    y = data.data[1] if isinstance(data.data, tuple) and len(data.data) > 1 else None
    train, held, sentence = split_validation(y, len(data.arrays[0]), fraction, mode, random_permutation)
    size = checks.batch_size(batch_size) if batch_size is not None else data.batch_size
    return (
        ArrayData(data.data, data.batch_size, train, data.order, data.by_batch),
        ArrayData(data.data, size, held),
        sentence,
    )


def check_labels_of(model: Any, losses: Any, data: ArrayData | StreamData, class_weight: Any) -> None:
    """Look at the target values: all of arrays, the first batch of a stream."""
    packed = data.data if isinstance(data, ArrayData) else data.first_batch()
    if isinstance(packed, tuple) and len(packed) > 1 and packed[1] is not None:
        losses.check_values(packed[1], model, class_weight)
