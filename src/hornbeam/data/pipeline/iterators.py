"""Functions of iterators over elements: windows, elements without repetitions."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam.data import elements as e
from hornbeam.data.pipeline import stages as s

if TYPE_CHECKING:
    from hornbeam.data.pipeline.dataset import Dataset


def windows(
    cls: type[Dataset], run: Iterator[Any], size: int, shift: int, stride: int, drop_remainder: bool
) -> Iterator[Any]:
    """Yield windows of elements, each a dataset or a structure of datasets."""
    span = (size - 1) * stride + 1
    buffer: collections.deque[Any] = collections.deque(itertools.islice(run, span))
    while buffer:
        window = list(buffer)[::stride]
        if len(window) == size or not drop_remainder:
            yield e.zip_parts(lambda column: cls(_window_source(column)), window)
        if shift >= span:
            buffer.clear()
            next(itertools.islice(run, shift - span, shift - span), None)
            buffer.extend(itertools.islice(run, span))
        else:
            for _ in range(min(shift, len(buffer))):
                buffer.popleft()
            buffer.extend(itertools.islice(run, shift))


def _window_source(values: Sequence[Any]) -> s.Stage:
    items = list(values)
    return s.IteratorSource(lambda: iter(items), "window", len(items), e.spec_of(items[0]))


def window_count(number: int, size: int, shift: int, stride: int, drop_remainder: bool) -> int:
    """Return how many windows `number` elements have; infinite and unknown numbers stay."""
    if number < 0:
        return number
    if drop_remainder:
        return max(-(-(number - (size - 1) * stride) // shift), 0)
    return -(-number // shift)


def without_repetitions(run: Iterator[Any]) -> Iterator[Any]:
    """Yield the elements (numbers, arrays or strings) that were not yielded before."""
    seen: set[Any] = set()
    for element in run:
        key = element if isinstance(element, (str, bytes)) else (element.shape, element.tobytes())
        if key not in seen:
            seen.add(key)
            yield element
