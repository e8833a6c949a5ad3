"""tf.queue: queues of tensors, on the host. An empty or a full queue raises an error instead of waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import Tensor, ops
from hornbeam import random as hb_random
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.extension_types import stack_tensors
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.tensors import convert_to_tensor
from hornbeam_compat.tensorflow.typing import DTypeLike, TensorLike, Tree

__all__ = ["FIFOQueue", "PaddingFIFOQueue", "PriorityQueue", "RandomShuffleQueue"]


class FIFOQueue:
    """Queue of elements, first in, first out.

    Args:
        capacity: Largest number of elements.
        dtypes: Dtype of each component of an element.
        shapes: Ignored.
        names: Names of the components; elements are then dicts.
        shared_name: Ignored.
        name: Ignored.
    """

    def __init__(
        self, capacity: int, dtypes: DTypeLike | list[DTypeLike] | tuple[DTypeLike, ...],
        shapes: object = None, names: Sequence[str] | None = None, shared_name: object = None,
        name: str = "fifo_queue",
    ) -> None:  # fmt: skip
        self._capacity = int(capacity)
        self.dtypes = list(dtypes) if isinstance(dtypes, (list, tuple)) else [dtypes]
        self.names = list(names) if names else None
        self._elements: list[tuple[Any, ...]] = []

    def _components(self, vals: Tree) -> list[Any]:
        if self.names:
            listed = [vals[name] for name in self.names]
        else:
            listed = list(vals) if isinstance(vals, (list, tuple)) and len(self.dtypes) > 1 else [vals]
            if len(self.dtypes) == 1 and isinstance(vals, (list, tuple)) and len(vals) == 1:
                listed = list(vals)
        return [
            StringTensor(x) if str(dtype) == "string" else convert_to_tensor(x, dtype)
            for x, dtype in zip(listed, self.dtypes, strict=True)
        ]

    def enqueue(self, vals: Tree, name: str | None = None) -> None:
        """Append an element. Raise RuntimeError if the queue is full."""
        if len(self._elements) >= self._capacity:
            raise RuntimeError(
                f"the queue is full: it has its {self._capacity} elements, and nothing takes one"
            )
        self._elements.append(tuple(self._components(vals)))

    def enqueue_many(self, vals: Tree, name: str | None = None) -> None:
        """Append several elements, along the first axis of the components."""
        for parts in zip(*self._components(vals), strict=True):
            self.enqueue(
                dict(zip(self.names, parts, strict=True))
                if self.names
                else parts
                if len(parts) > 1
                else parts[0]
            )

    def _next(self) -> tuple[Any, ...]:
        return self._elements.pop(0)

    def dequeue(self, name: str | None = None) -> Tree:
        """Remove an element and return it. Raise RuntimeError if there is none."""
        if not self._elements:
            raise RuntimeError("the queue is empty, and nothing adds an element")
        parts = self._next()
        if self.names:
            return dict(zip(self.names, parts, strict=True))
        return parts[0] if len(parts) == 1 else list(parts)

    def dequeue_many(self, n: int, name: str | None = None) -> Tree:
        """Remove `n` elements and return their components, each stacked."""
        rows = [self.dequeue() for _ in range(int(n))]
        if self.names:
            return {key: stack_tensors([row[key] for row in rows]) for key in self.names}
        if len(self.dtypes) == 1:
            return stack_tensors(rows)
        return [stack_tensors(list(column)) for column in zip(*rows, strict=True)]

    def size(self, name: str | None = None) -> Tensor:
        """Return the number of elements."""
        return ops.cast(as_tensor(len(self._elements)), "int32")

    def is_closed(self, name: str | None = None) -> bool:
        """Return False: `close` only ends waiting, which never happens here."""
        return False

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> None:
        """Do nothing."""


PaddingFIFOQueue = FIFOQueue


class PriorityQueue(FIFOQueue):
    """Queue from which the element with the smallest priority comes first.

    Args:
        capacity: Largest number of elements.
        types: Dtype of each component after the priority, an int64.
        shapes: Ignored.
        names: Names of the components, the priority included.
        shared_name: Ignored.
        name: Ignored.
    """

    def __init__(
        self, capacity: int, types: DTypeLike | list[DTypeLike] | tuple[DTypeLike, ...],
        shapes: TensorLike | None = None, names: Sequence[str] | None = None, shared_name: object = None,
        name: str = "priority_queue",
    ) -> None:  # fmt: skip
        listed = list(types) if isinstance(types, (list, tuple)) else [types]
        super().__init__(capacity, ["int64", *listed], shapes, names)

    def _next(self) -> tuple[Any, ...]:
        first = min(range(len(self._elements)), key=lambda i: (int(self._elements[i][0]), i))
        return self._elements.pop(first)


class RandomShuffleQueue(FIFOQueue):
    """Queue from which elements come in random order.

    Args:
        capacity: Largest number of elements.
        min_after_dequeue: Ignored.
        dtypes: Dtype of each component.
        shapes: Ignored.
        names: Names of the components.
        seed: Ignored.
        shared_name: Ignored.
        name: Ignored.
    """

    def __init__(
        self, capacity: int, min_after_dequeue: int,
        dtypes: DTypeLike | list[DTypeLike] | tuple[DTypeLike, ...], shapes: TensorLike | None = None,
        names: Sequence[str] | None = None, seed: object = None, shared_name: object = None,
        name: str = "random_shuffle_queue",
    ) -> None:  # fmt: skip
        super().__init__(capacity, dtypes, shapes, names)

    def _next(self) -> tuple[Any, ...]:
        return self._elements.pop(int(hb_random.randint((), 0, len(self._elements))))
