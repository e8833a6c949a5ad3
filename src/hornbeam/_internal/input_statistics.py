"""Statistics of the inputs that a model was trained on, and how others differ from them.

Pixels that were divided by 255 in training and come as they are in use give answers that look like any other.
A sample of rows tells: the largest and the mean absolute value are both out of proportion, or the borders of
images are bright that were dark.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# Keys in files: the statistics, and the numbers below which inputs that are indices must be.
TRAINING_INPUTS, INDICES = "training_inputs", "indices"
# Rows, and about as many values, that are read.
_ROWS, _VALUES = 64, 1 << 20
# Factors of the largest and of the mean absolute value from which data were scaled differently.
_LARGER, _SMALLER = 20, 100
# Smallest side of an image with a border, and parts of the range below and above which one is plain.
_SIDE, _DARK, _BRIGHT = 8, 0.2, 0.8


@dataclass(frozen=True)
class InputStatistics:
    """Statistics of the values of one input.

    Args:
        low: The smallest value.
        high: The largest value.
        magnitude: The mean absolute value.
        integers: Whether all values are integers, as categories and tokens are.
        border: Mean of the outer pixels as a part of the range, if nearly all images have a dark or a bright
            border; else None.
    """

    low: float
    high: float
    magnitude: float
    integers: bool
    border: float | None = None

    @classmethod
    def of(cls, array: np.ndarray) -> InputStatistics | None:
        """Return those of an array of samples, None if it holds no numbers or only zeros."""
        if array.ndim < 2 or array.dtype.kind not in "fiu" or not array.size:
            return None
        rows = min(_ROWS, max(_VALUES * len(array) // array.size, 1))
        values = array[:: -(-len(array) // rows)].astype(np.float64)
        low, high, magnitude = float(values.min()), float(values.max()), float(np.abs(values).mean())
        if not math.isfinite(magnitude) or not magnitude:
            return None
        integers = array.dtype.kind != "f" or bool((values == np.round(values)).all())
        return cls(low, high, magnitude, integers, _border(values, low, high))

    def difference(self, used: InputStatistics) -> str | None:
        """Say how data in use differ from these of the training, None if they may be of the same kind."""
        largest, before = (max(abs(x.low), abs(x.high)) for x in (used, self))
        scale = f"values up to {largest:.4g}, and the training data went up to {before:.4g}"
        if not (self.integers and used.integers):  # else they may be tokens
            if min(largest / before, used.magnitude / self.magnitude) >= _LARGER:
                pixels = used.low >= 0 and 50 < largest <= 255 and before <= 1
                divide = "divide them by 255" if pixels else "scale them alike"
                return f"{scale}: {divide}, or put the scaling into the model (layers.Rescaling)"
            if max(largest / before, used.magnitude / self.magnitude) <= 1 / _SMALLER:
                return f"{scale}: give data that are scaled as in training, and only once"
        if self.border is None or used.border is None or (self.border < 0.5) == (used.border < 0.5):
            return None
        now, then = ("bright", "dark") if self.border < 0.5 else ("dark", "bright")
        ends = used.low + used.high
        fix = f"{ends:.3g} - x" if abs(ends) > 0.01 * used.magnitude else "-x"
        return f"images with a {now} border, those of the training have a {then} one: invert them ({fix})"


def _border(values: np.ndarray, low: float, high: float) -> float | None:
    """Return the mean of the outer pixels as a part of the range, if nine of ten images agree about them."""
    images = _as_images(values)
    if images is None or high <= low:
        return None
    sides = [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]]
    rings = (np.concatenate(sides, axis=1).mean(1) - low) / (high - low)
    border = float(rings.mean())
    share = float((rings < _DARK).mean() if border < 0.5 else (rings > _BRIGHT).mean())
    return border if share >= 0.9 else None


def _as_images(values: np.ndarray) -> np.ndarray | None:
    """Return gray images (n, height, width), also of rows with a square number of values; None for others."""
    sizes = [size for size in values.shape[1:] if size != 1]
    if len(sizes) == 1 and math.isqrt(sizes[0]) ** 2 == sizes[0]:
        sizes = [math.isqrt(sizes[0])] * 2
    if len(sizes) != 2 or min(sizes) < _SIDE:
        return None
    return values.reshape(len(values), *sizes)


def difference(statistics: Mapping[str, InputStatistics], inputs: Mapping[str, np.ndarray]) -> str | None:
    """Say how one of the inputs differs from those of the training, None if none does."""
    for name, array in inputs.items():
        trained, used = statistics.get(name), InputStatistics.of(array)
        text = trained.difference(used) if trained is not None and used is not None else None
        if text is not None:
            return f"for input {name!r} {text}" if name else text
    return None


def unknown_index(limits: Any, inputs: Mapping[str, np.ndarray]) -> str | None:
    """Say which index a model has no vector for, None if there is none. limits: as a file holds them."""
    for name, limit in limits.items() if isinstance(limits, Mapping) else ():
        array = inputs.get(name)
        if array is None or array.dtype.kind not in "iuf" or not array.size or type(limit) is not int:
            continue
        low, high = array.min(), array.max()
        if low < 0 or high >= limit:
            index = low if low < 0 else high
            return f"input {name!r} contains the index {index:g}, the model has vectors for 0 to {limit - 1}"
    return None


def to_config(statistics: Mapping[str, InputStatistics]) -> dict[str, dict[str, Any]]:
    """Return statistics by name as what JSON can hold."""
    return {name: asdict(about) for name, about in statistics.items()}


def from_config(config: Any) -> dict[str, InputStatistics]:
    """Return the statistics that a file holds. What is not one is left out: it serves a warning alone."""
    if not isinstance(config, Mapping):
        return {}
    return {
        str(name): InputStatistics(**about)
        for name, about in config.items()
        if isinstance(about, Mapping)
        and set(about) == set(InputStatistics.__dataclass_fields__)
        and all(_is_number(about[field]) for field in ("low", "high", "magnitude"))
        and about["magnitude"] > 0
        and max(abs(about["low"]), abs(about["high"])) > 0
        and isinstance(about["integers"], bool)
        and (about["border"] is None or _is_number(about["border"]))
    }


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
