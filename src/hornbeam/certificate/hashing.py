"""Hashes of arrays, data and JSON values, and the one text of a JSON value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# SHA-256: what in-toto expects, and with the instructions of today's processors the fastest of hashlib.
_CHUNK = 1 << 24


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, UTF-8; numbers are integers.

    Raises:
        ValueError: For floats, of which a certificate has the shortest decimal text instead.
    """
    if _has_float(value):
        raise ValueError("a certificate has texts in the place of floats")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return any(map(_has_float, value)) if isinstance(value, list) else isinstance(value, float)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical text of a JSON value."""
    return hashlib.sha256(canonical(value)).hexdigest()


def hash_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Return the SHA-256 of arrays: of each a line with dtype and shape, then its bytes in C order."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.name} {','.join(map(str, array.shape))}\n".encode())
        if array.dtype.kind == "O":  # the bytes would be addresses
            total.update(canonical([str(item) for item in array.reshape(-1)]))
        elif array.flags.c_contiguous:
            total.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
        else:
            rows = max(_CHUNK // max(array[:1].nbytes, 1), 1)
            for start in range(0, len(array), rows):
                total.update(array[start : start + rows].tobytes())
    return total.hexdigest()


def plain(value: Any) -> Any:
    """Convert a value to JSON without floats: these become their shortest text, arrays their hash."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in (sorted(value) if isinstance(value, set) else value)]
    if isinstance(value, np.ndarray) and value.ndim:
        return hash_arrays([value])
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating, np.ndarray)):
        return repr(float(value))
    return value if value is None else str(value)


def link(previous: str, entry: Any) -> str:
    """Return the hash of an entry of the chain together with all entries before it."""
    return digest([previous, entry])


def head_of(entries: Sequence[Any], start: str) -> str:
    """Return the last link of a chain that begins with the hash `start`."""
    for entry in entries:
        start = link(start, entry)
    return start
