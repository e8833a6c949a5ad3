"""tf.errors: the classes that scripts catch, as the exceptions that Hornbeam and Python raise."""

from __future__ import annotations

from hornbeam.ir.types import ShapeError

__all__ = [
    "InvalidArgumentError", "NotFoundError", "OpError", "OutOfRangeError", "ResourceExhaustedError",
    "UnimplementedError",
]  # fmt: skip

InvalidArgumentError = ShapeError
NotFoundError = FileNotFoundError
OutOfRangeError = StopIteration
ResourceExhaustedError = MemoryError
UnimplementedError = NotImplementedError
OpError = Exception
