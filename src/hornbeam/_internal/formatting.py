"""Numbers as texts: counts, sizes, times and percentages with their units."""

from __future__ import annotations

from collections.abc import Iterable


def with_unit(number: float) -> str:
    """Return a number with a prefix that a unit can follow.

    >>> with_unit(1_500_000) + "FLOPs", with_unit(12) + "B/s"
    ('1.5 MFLOPs', '12 B/s')
    """
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.1f} {prefix}"
    return f"{number:.0f} "


def byte_size(nbytes: int) -> str:
    """Return a number of bytes with its unit.

    >>> byte_size(2048)
    '2.0 KiB'
    """
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{nbytes} B"


def short_time(seconds: float) -> str:
    """Return the time of a step or a kernel with its unit.

    >>> short_time(0.0025)
    '2.50 ms'
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds * 1e6:.1f} µs"


def long_time(seconds: float) -> str:
    """Return the time of a training run with its units.

    >>> long_time(245)
    '4 min 05 s'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def shape_text(shape: Iterable[int | None]) -> str:
    """Return a shape in words; None is an unknown size.

    >>> shape_text((None, 28, 28)), shape_text(())
    ('? × 28 × 28', 'scalar')
    """
    return " × ".join("?" if size is None else str(size) for size in shape) or "scalar"


def scalars_repr(value: object) -> str:
    """Return the class of an object with its public numbers and texts, for `__repr__`."""
    scalars = [
        f"{name}={part}"
        for name, part in vars(value).items()
        if isinstance(part, (int, float, str)) and name != "name" and not name.startswith("_")
    ]
    return f"<{' '.join([type(value).__name__, ', '.join(scalars)]).strip()}>"


def shortened(text: str, width: int) -> str:
    """Return a text of at most `width` characters."""
    return text if len(text) <= width else text[: width - 1] + "…"


def brief(value: object) -> str:
    """Return the `repr` of a value for a message; of arrays and tensors, their dtype and shape.

    >>> brief("same"), brief(np.ones((2, 3)))
    ("'same'", 'an array of float64 and shape (2, 3)')
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None and shape:
        kind = "an array" if type(value).__module__ == "numpy" else "a tensor"
        return f"{kind} of {dtype} and shape {shape}"
    return shortened(repr(value), 200)
