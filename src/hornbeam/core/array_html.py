"""Tensors and variables as outputs of notebook cells: shape, dtype, engine, and a short excerpt."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.formatting import shape_text
from hornbeam._internal.html.markup import tag
from hornbeam._internal.html.notebook import notebook_output

# Larger arrays are shortened to the values at the ends of each axis.
_MOST_VALUES, _EDGE, _COLUMNS = 100, 3, 90


def array_html(title: str, array: np.ndarray, engine: Any) -> str:
    """Return a heading and the values of an array; `engine` owns it, None for one of NumPy."""
    parts = [title, shape_text(array.shape), str(array.dtype)]
    parts.append(f"{engine.name} engine" if engine is not None else "NumPy")
    # Values of several axes come one row a line: the ends of the outer axes are enough.
    edge = _EDGE if array.ndim < 3 else 2
    options: dict[str, Any] = {"threshold": _MOST_VALUES, "edgeitems": edge, "max_line_width": _COLUMNS}
    values = np.array2string(array, precision=4, suppress_small=True, **options)
    return notebook_output(tag("p", " · ".join(parts), class_="quiet"), tag("pre", values, class_="array"))
