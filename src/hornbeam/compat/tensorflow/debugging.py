"""tf.debugging: assertions, checked where values are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.compat.tensorflow.errors import InvalidArgumentError
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor

__all__ = [
    "Assert", "assert_all_finite", "assert_equal", "assert_greater", "assert_greater_equal", "assert_less",
    "assert_less_equal", "assert_near", "assert_non_negative", "assert_positive", "assert_rank",
    "assert_shapes", "assert_type", "check_numerics", "enable_check_numerics",
]  # fmt: skip


def _known(x: Any) -> np.ndarray | None:
    """The value, or None while a function is being traced."""
    made = as_tensor(x)
    return None if made.node.level else np.asarray(made)


def _comparison(test: Callable[[np.ndarray, np.ndarray], Any], text: str) -> Callable[..., None]:
    def check(
        x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None
    ) -> None:
        a, b = _known(x), _known(y)
        if a is not None and b is not None and not np.all(test(a, b)):
            raise InvalidArgumentError(f"{message or 'assertion failed'}: x {text} y, x = {a}, y = {b}")

    return check


assert_equal = _comparison(np.equal, "==")
assert_greater = _comparison(np.greater, ">")
assert_greater_equal = _comparison(np.greater_equal, ">=")
assert_less = _comparison(np.less, "<")
assert_less_equal = _comparison(np.less_equal, "<=")


def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: str | None = None, **options: Any
) -> None:
    """|x - y| <= atol + rtol |y| everywhere."""
    a, b = _known(x), _known(y)
    tolerance = 10 * float(np.finfo(np.float32).eps)
    if a is not None and b is not None:
        relative, absolute = (tolerance if bound is None else float(bound) for bound in (rtol, atol))
        if not np.allclose(a, b, relative, absolute):
            raise InvalidArgumentError(f"{message or 'assertion failed'}: x is not near y, x = {a}, y = {b}")


def assert_positive(x: Any, message: str | None = None, **options: Any) -> None:
    """x > 0 everywhere."""
    assert_greater(x, 0, message)


def assert_non_negative(x: Any, message: str | None = None, **options: Any) -> None:
    """x >= 0 everywhere."""
    assert_greater_equal(x, 0, message)


def assert_rank(x: Any, rank: int, message: str | None = None, name: str | None = None) -> None:
    """`x` has so many axes."""
    found = len(as_tensor(x).shape)
    if found != rank:
        raise ValueError(f"{message or 'assertion failed'}: rank {rank} was expected, got {found}")


def assert_shapes(shapes: Any, message: str | None = None, **options: Any) -> None:
    """Pairs (tensor, sizes): whole numbers must be met, names must mean the same size everywhere."""
    sizes: dict[Any, int] = {}
    for x, wanted in shapes.items() if isinstance(shapes, dict) else shapes:
        found = tuple(as_tensor(x).shape)
        fits = len(found) == len(wanted) and all(
            size is None or have == (size if isinstance(size, int) else sizes.setdefault(size, have))
            for size, have in zip(wanted, found, strict=True)
        )
        if not fits:
            raise ValueError(f"{message or 'assertion failed'}: shape {wanted} was expected, got {found}")


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> None:
    """`tensor` has this dtype."""
    if as_tensor(tensor).dtype != tf_type:
        raise TypeError(f"{message or 'assertion failed'}: {tf_type} was expected, got {tensor.dtype}")


def Assert(condition: Any, data: Any, summarize: Any = None, name: str | None = None) -> None:
    """The condition holds."""
    value = _known(condition)
    if value is not None and not value.all():
        raise InvalidArgumentError(f"assertion failed: {[_known(x) for x in data]}")


def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """`tensor`, if it holds neither NaN nor infinity."""
    value = _known(ops.all(ops.isfinite(tensor)))
    if value is not None and not value:
        raise InvalidArgumentError(f"{message}: the tensor has NaN or infinity")
    return as_tensor(tensor)


def assert_all_finite(x: Any, message: str, name: str | None = None) -> Tensor:
    """`x`, if it holds neither NaN nor infinity."""
    return check_numerics(x, message)


def enable_check_numerics(stack_height_limit: int = 30, path_length_limit: int = 50) -> None:
    """Not there: raises NotImplementedError that says what is."""
    raise NotImplementedError("enable_check_numerics: use the callback keras.callbacks.TerminateOnNaN")
