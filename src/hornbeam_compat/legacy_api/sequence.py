"""`keras.preprocessing.sequence` of Keras 2: windows of a time series."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hornbeam.utils import PyDataset

REPLACEMENTS = {"TimeseriesGenerator": "keras.utils.timeseries_dataset_from_array()"}


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a time series, each with the target after the window.

    Args:
        data: Array with time as its first axis.
        targets: Array of as many targets.
        length: Integer, the span of a window in steps.
        sampling_rate: Integer; a window contains every `sampling_rate`-th step.
        stride: Integer, the distance between windows.
        start_index: Integer, the first step of the first window.
        end_index: Integer, the last target. The last step if None.
        shuffle: True to draw windows at random.
        reverse: True to reverse the time in each window.
        batch_size: Integer, windows in a batch.

    Raises:
        ValueError: If `data` and `targets` differ in length, or no window fits.
    """

    def __init__(
        self, data: npt.ArrayLike, targets: npt.ArrayLike, length: int, sampling_rate: int = 1,
        stride: int = 1, start_index: int = 0, end_index: int | None = None, shuffle: bool = False,
        reverse: bool = False, batch_size: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        self.data, self.targets = np.asarray(data), np.asarray(targets)
        if len(self.data) != len(self.targets):
            raise ValueError(
                f"data and targets must have equal lengths, got {len(self.data)} and {len(self.targets)}"
            )
        self.length, self.sampling_rate, self.stride = length, sampling_rate, stride
        self.start_index = start_index + length
        self.end_index = len(self.data) - 1 if end_index is None else end_index
        if self.start_index > self.end_index:
            raise ValueError(f"no window of length {length} fits between {start_index} and {self.end_index}")
        self.shuffle, self.reverse, self.batch_size = shuffle, reverse, batch_size

    def __len__(self) -> int:
        span = self.end_index - self.start_index + self.batch_size * self.stride
        return span // (self.batch_size * self.stride)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            last = min(first + self.batch_size * self.stride, self.end_index + 1)
            rows = np.arange(first, last, self.stride)
        windows = np.stack([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        return (windows[:, ::-1] if self.reverse else windows), self.targets[rows]
