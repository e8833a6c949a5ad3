"""`timeseries_dataset_from_array`: windows that slide over a series."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.data import elements as e
from hornbeam.data.folders.file_listing import only_ours
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.pipeline.stages import Slices
from hornbeam.data.pipeline.transforms import Map
from hornbeam.ir.types import ShapeError
from hornbeam.random import make_default_seed


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Windows of `sequence_length` steps of `data`, with `targets`, as a Dataset of batches.

    data: an array whose first axis is time. targets: None, or an array whose item i belongs to the window
    that begins at step i. sequence_stride: steps from one window to the next. sampling_rate: steps from one
    item of a window to the next. batch_size: None for single windows. shuffle: in a new order every pass.
    start_index, end_index: the part of `data` and `targets` to take.

    Windows are made batch by batch, so memory does not grow with their number.

    >>> windows = hornbeam.utils.timeseries_dataset_from_array(np.arange(5), None, 3)
    >>> next(windows.as_numpy_iterator()).tolist()
    [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    """
    only_ours(format)
    series = e.as_element(data)
    length, stride, step = (
        check_int("sequence_length", sequence_length, minimum=1),
        _below(sequence_stride, "sequence_stride", len(series)),
        _below(sampling_rate, "sampling_rate", len(series)),
    )
    begin = check_int("start_index", start_index or 0, minimum=0)
    end = check_int("end_index", end_index or len(series), minimum=1)
    if begin >= len(series) or end > len(series) or end <= begin:
        raise ValueError(
            f"start_index={start_index} and end_index={end_index} must cut a part out of {len(series)} steps"
        )
    count = end - begin - (length - 1) * step
    wanted = None if targets is None else e.as_element(targets)
    if wanted is not None:
        count = min(count, len(wanted))
        wanted = wanted[begin:end]
    starts = np.arange(0, count, stride)
    if not len(starts):
        raise ValueError(
            f"no window of {length} items, {step} apart, fits into {end - begin} steps"
            + ("" if wanted is None else f" with {len(wanted)} targets")
        )
    if wanted is not None and starts[-1] >= len(wanted):
        raise ShapeError(f"there are {len(wanted)} targets, but the last window begins at step {starts[-1]}")
    series, inside = series[begin:end], np.arange(length) * step

    def windows(at: Any) -> Any:
        made = series[np.asarray(at)[..., None] + inside]
        return made if wanted is None else (made, wanted[at])

    positions = Dataset(Slices(starts, "windows"))
    if shuffle:
        positions = positions.shuffle(len(starts), make_default_seed() if seed is None else seed)
    if batch_size is not None:
        positions = positions.batch(batch_size)
    return Dataset(Map(positions._stage, windows, 1, raw=True)).prefetch(AUTOTUNE)


def _below(value: int, name: str, steps: int) -> int:
    number = check_int(name, value, minimum=1)
    if number >= steps:
        raise ValueError(f"{name} must be below the length of the data, {steps}, got {number}")
    return number
