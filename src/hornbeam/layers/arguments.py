"""Checks of constructor arguments, with errors that name the argument, what was expected, and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam.ir.types import ShapeError


def positive(owner: str, name: str, value: Any) -> int:
    """A whole number above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise ValueError(f"{owner}: {name} must be a positive whole number, got {value!r}")
    return int(value)


def rate(owner: str, name: str, value: Any, closed: bool = False) -> float:
    """A number in [0, 1), or in [0, 1] if `closed`."""
    good = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not good or not 0 <= value <= 1 or (value == 1 and not closed):
        raise ValueError(f"{owner}: {name} must be a number in [0, 1{']' if closed else ')'}, got {value!r}")
    return float(value)


def one_of(owner: str, name: str, value: Any, known: Sequence[Any]) -> Any:
    """One of a few known values."""
    if value not in known:
        hint = nearest(value, [k for k in known if isinstance(k, str)]) if isinstance(value, str) else ""
        raise ValueError(
            f"{owner}: {name} must be one of {', '.join(map(repr, known))}, got {value!r}.{hint}"
        )
    return value


def sizes(owner: str, name: str, value: Any, rank: int, low: int = 1) -> tuple[int, ...]:
    """`rank` whole numbers not below `low`; one number stands for all."""
    given = (value,) * rank if isinstance(value, (int, np.integer)) else value
    if (
        not isinstance(given, (list, tuple))
        or len(given) != rank
        or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < low for v in given)
    ):
        wanted = f"a whole number or {rank} of them" if rank > 1 else "a whole number"
        raise ValueError(f"{owner}: {name} must be {wanted}, each at least {low}, got {value!r}")
    return tuple(int(v) for v in given)


def amounts(owner: str, name: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """How much to add or cut before and after each of `rank` axes: an int, an int per axis, or a pair per
    axis.
    """
    given = (value,) * rank if isinstance(value, (int, np.integer)) else value
    if isinstance(given, (list, tuple)) and len(given) == rank:
        pairs = [(v, v) if isinstance(v, (int, np.integer)) else tuple(v) for v in given]
        if all(
            len(pair) == 2 and all(isinstance(v, (int, np.integer)) and v >= 0 for v in pair)
            for pair in pairs
        ):
            return tuple((int(low), int(high)) for low, high in pairs)
    raise ValueError(
        f"{owner}: {name} must be an int, or an int or a pair of ints for each of {rank} axes, got {value!r}"
    )


def no_support(owner: str, reason: str, **arguments: Any) -> None:
    """Raise for arguments that are known but not there, unless they are None or False."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise NotImplementedError(f"{owner}: {name}={value!r} is not there: {reason}")


def collected(names: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the constructor whose `locals()` are given, to be passed on by keyword."""
    arguments = {name: value for name, value in names.items() if name not in ("self", "kwargs", "__class__")}
    return {**arguments, **names.get("kwargs", {})}


def window_output(size: int, window: int, stride: int, padding: str, dilation: int = 1) -> int:
    """How many positions a window takes along an axis of `size`."""
    if padding != "valid":
        return -(-size // stride)
    return (size - dilation * (window - 1) - 1) // stride + 1


def check_window(
    where: str,
    spatial: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation: Sequence[int] | None = None,
) -> None:
    """Raise ShapeError if a window does not fit into its input."""
    dilation = dilation or (1,) * len(window)
    out = tuple(map(window_output, spatial, window, strides, [padding] * len(window), dilation))
    if min(out) <= 0:
        dilated = "" if max(dilation) == 1 else f" (dilated by {tuple(dilation)})"
        raise ShapeError(
            f"{where}: a window of {tuple(window)}{dilated} is larger than its input of {tuple(spatial)}, "
            f"the output would have size {tuple(max(size, 0) for size in out)}. "
            'Use padding="same", a smaller window, or fewer pooling layers in front'
        )


def spatial_sizes(shape: Sequence[int], data_format: str) -> tuple[int, ...]:
    """The sizes between batch and channels."""
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def channel_axis(data_format: str) -> int:
    """Where the channels are."""
    return -1 if data_format == "channels_last" else 1
