"""`timeseries_dataset_from_array`: sliding windows over a series."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_int
from hornbeam.data import elements as e
from hornbeam.data.folders.file_listing import check_format
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.pipeline.memory import stage_of
from hornbeam.data.pipeline.stages import Slices
from hornbeam.data.pipeline.transforms import Map
from hornbeam.ir.types import ShapeError
from hornbeam.random import make_default_seed


def timeseries_dataset_from_array(
    data: ArrayLike,
    targets: ArrayLike | None,
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
    """Return a Dataset of batches of sliding windows over `data`, with `targets`.

    Windows are computed batch by batch, so memory does not grow with their number.

    Args:
        data: Array whose first axis is time.
        targets: Array whose item i belongs to the window that begins at step i, or None.
        sequence_length: Number of items in a window.
        sequence_stride: Steps from the beginning of one window to the next.
        sampling_rate: Steps from one item of a window to the next.
        batch_size: Number of windows in a batch; None for single windows.
        shuffle: Whether every pass has a new order.
        seed: Seed of the order.
        start_index: First step of `data` and `targets` to use; 0 if None.
        end_index: Step after the last one to use; the length of `data` if None.
        format: "tf", for a hornbeam.data.Dataset.

    Raises:
        ValueError: If an argument is out of range or no window fits.
        ShapeError: If `targets` are too few.

    Example:
        >>> windows = hornbeam.utils.timeseries_dataset_from_array(np.arange(5), None, 3)
        >>> next(windows.as_numpy_iterator()).tolist()
        [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    """
    check_format(format)
    series = e.as_element(data)
    length = check_int("sequence_length", sequence_length, minimum=1)
    stride = _check_step("sequence_stride", sequence_stride, len(series))
    step = _check_step("sampling_rate", sampling_rate, len(series))
    begin = check_int("start_index", start_index or 0, minimum=0)
    end = check_int("end_index", end_index or len(series), minimum=1)
    if begin >= len(series) or end > len(series) or end <= begin:
        raise ValueError(
            f"start_index={start_index} and end_index={end_index} must select a part of {len(series)} steps"
        )
    count = end - begin - (length - 1) * step
    labels = None if targets is None else e.as_element(targets)
    if labels is not None:
        count = min(count, len(labels))
        labels = labels[begin:end]
    starts = np.arange(0, count, stride)
    if not len(starts):
        with_targets = "" if labels is None else f" with {len(labels)} targets"
        raise ValueError(
            f"no window of {length} items, {step} apart, fits into {end - begin} steps{with_targets}"
        )
    if labels is not None and starts[-1] >= len(labels):
        raise ShapeError(f"targets has {len(labels)} items, but the last window begins at step {starts[-1]}")
    series, offsets = series[begin:end], np.arange(length) * step

    def windows(positions: Any) -> Any:
        batch = series[np.asarray(positions)[..., None] + offsets]
        return batch if labels is None else (batch, labels[positions])

    positions = Dataset(Slices(starts, "windows"))
    if shuffle:
        positions = positions.shuffle(len(starts), make_default_seed() if seed is None else seed)
    if batch_size is not None:
        positions = positions.batch(batch_size)
    return Dataset(Map(stage_of(positions), windows, 1, raw=True)).prefetch(AUTOTUNE)


def _check_step(name: str, value: int, steps: int) -> int:
    number = check_int(name, value, minimum=1)
    if number >= steps:
        raise ValueError(f"{name} must be below the length of the data, {steps}, got {number}")
    return number
