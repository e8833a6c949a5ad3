"""From the user's x, y and sample_weight to data that the loop runs over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.core.sparse import is_scipy_sparse
from hornbeam.data import Dataset
from hornbeam.data.pipeline.memory import as_in_memory_rows
from hornbeam.data.pipeline.py_dataset import PyDataset
from hornbeam.data.sources.huggingface import is_huggingface
from hornbeam.data.splits.sealed import Sealed, check_not_sealed
from hornbeam.data.splits.split import random_permutation, split_validation
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.training.array_data import ArrayData, TableData
from hornbeam.training.check_arguments import check_batch_size, check_validation_data
from hornbeam.training.host_inputs import RunHostLayers
from hornbeam.training.packing import make_batch, unpack_x_y_sample_weight
from hornbeam.training.stream_data import StreamData

Data = ArrayData | StreamData


def is_stream(x: Tree) -> bool:
    """Return True for iterables of batches: datasets, loaders, generators."""
    if isinstance(x, PyDataset):
        return True
    if isinstance(x, (list, tuple, dict, str, bytes)) or hasattr(x, "__array__") or hasattr(x, "to_numpy"):
        return False
    if is_scipy_sparse(x):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__next__")


def _identity(x: Tree) -> Tree:
    return x


def make_data(
    x: Tree,
    y: Tree,
    sample_weight: Tree,
    batch_size: int | None,
    method: str,
    shuffle: bool | str | None = False,
    class_weight: Mapping[int, float] | None = None,
    name: str = "x",
    run_host_layers: RunHostLayers = _identity,
    steps: int | None = None,
    steps_name: str = "steps",
) -> Data:
    """Convert and check the data of `method`. Raises for every mistake that shows without the model.

    name: the argument that x was passed as. run_host_layers: the part of the model that runs before the step.
    steps: number of steps, from the argument `steps_name`; without it the data must have an end.
    """
    size = check_batch_size(batch_size)
    if shuffle not in (True, False, "batch", None):
        raise ValueError(f'shuffle must be True, False or "batch", got {shuffle!r}')
    if x is None:
        raise ValueError(f"{method}() got no data: {name} is None")
    if method == "fit" or isinstance(x, Sealed):
        check_not_sealed((x, y), f"{method}() got it as {name}")
    if is_huggingface(x):
        part = f'["{next(iter(x), "train")}"]' if isinstance(x, dict) else ""
        raise TypeError(
            f"{method}() got a {type(x).__name__} of Hugging Face, with rows of named columns: say which "
            f'are x and y, as in data.from_huggingface(dataset{part}, "image", label="label").batch(32)'
        )
    if not is_stream(x):
        _check_row_order(x, y, name)
        batch = make_batch(run_host_layers(x), y, sample_weight, class_weight, finite=True)
        return ArrayData(
            batch, size, order=random_permutation if shuffle else None, by_batch=shuffle == "batch"
        )
    for argument, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"{method}(): {name} is a {type(x).__name__}, which gives batches (x, y) itself: omit "
                f"{argument}"
            )
    if batch_size is not None:
        warn_user("batch_size has no effect here: the data come in batches already")
    table = as_in_memory_rows(x) if isinstance(x, Dataset) and method != "predict" else None
    if table is not None:
        inputs, targets, weights = unpack_x_y_sample_weight(table.arrays)
        batch = make_batch(run_host_layers(inputs), targets, weights, class_weight, finite=True)
        data: Data = TableData(batch, table.batch_size, table.rows, table.order, table.endless, x)
    else:
        order = random_permutation if shuffle and isinstance(x, PyDataset) else None
        data = StreamData(x, order, class_weight, run_host_layers)
    if data.endless and steps is None:
        raise ValueError(f"the data have no end (a Dataset with repeat()?): give {steps_name}")
    return data


def _check_row_order(x: Tree, y: Tree, name: str) -> None:
    """Warn of a frame and a series with the same index in different orders."""
    one, other = (cast("Any", getattr(part, "index", None)) for part in (x, y))
    if not hasattr(one, "sort_values") or not hasattr(other, "sort_values") or one.equals(other):
        return
    if len(one) == len(other) and one.isin(other).all() and other.isin(one).all():
        warn_user(
            f"{name} and y have the same index in different orders, so that rows meet the answers of others: "
            f"write y.loc[{name}.index]",
            LikelyMistakeWarning,
        )


def make_validation(
    value: Tree, batch_size: int | None, steps: int | None, run_host_layers: RunHostLayers = _identity
) -> Data:
    """Convert and check `validation_data`."""
    value = check_validation_data(value)
    if isinstance(value, tuple):
        x, y, sample_weight = (*value, None, None)[:3]
    else:
        x, y, sample_weight = value, None, None
        batch_size = None if is_stream(value) else batch_size
    return make_data(
        x,
        y,
        sample_weight,
        batch_size,
        "fit",
        name="validation_data",
        run_host_layers=run_host_layers,
        steps=steps,
        steps_name="validation_steps",
    )


def split(data: Data, fraction: float, mode: str, batch_size: int | None) -> tuple[ArrayData, ArrayData, str]:
    """Split data into a training and a validation part. Also returns a sentence that describes the split."""
    if not isinstance(data, ArrayData) or isinstance(data, TableData):
        raise ValueError(
            "validation_split needs arrays in memory: give the validation part of a dataset or generator as "
            "validation_data"
        )
    if mode not in ("auto", "tail"):
        hint = nearest(str(mode), ["auto", "tail"])
        raise ValueError(f'validation_split_mode must be "auto" or "tail", got {mode!r}.{hint}')
    train, held_out, sentence = split_validation(
        data.table.y, len(data.table), fraction, mode, random_permutation
    )
    size = check_batch_size(batch_size) if batch_size is not None else data.batch_size
    return (
        ArrayData(data.table, data.batch_size, train, data.order, data.by_batch),
        ArrayData(data.table, size, held_out),
        sentence,
    )
