"""`tf.test`: the base class of tests, and questions about devices."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hornbeam_compat.tensorflow.runtime import gpu_device_name, is_built_with_cuda, is_gpu_available
from hornbeam_compat.tensorflow.typing import TensorLike, Tree

__all__ = ["TestCase", "gpu_device_name", "is_built_with_cuda", "is_gpu_available", "main"]

# TensorFlow's test cases extend those of absl, and packages combine both.
_library: Any = importlib.import_module(
    "absl.testing.absltest" if importlib.util.find_spec("absl") is not None else "unittest"
)
_Base: Any = _library.TestCase
main: Callable[..., Any] = _library.main


def _leaves(check: Callable[..., None], a: Tree, b: Tree, **options: object) -> None:
    """Call a check for the leaves of two structures of dicts, lists and tuples."""
    if isinstance(a, Mapping):
        assert set(a) == set(b), f"keys {sorted(a)} and {sorted(b)} differ"
        for key in a:
            _leaves(check, a[key], b[key], **options)
    elif isinstance(a, (list, tuple)) and any(isinstance(part, (Mapping, list, tuple)) for part in a):
        assert len(a) == len(b), f"lengths {len(a)} and {len(b)} differ"
        for x, y in zip(a, b, strict=True):
            _leaves(check, x, y, **options)
    else:
        check(np.asarray(a), np.asarray(b), **options)


class TestCase(_Base):  # type: ignore[misc]
    """`unittest.TestCase` with checks of tensors and a folder for files.

    Args:
        methodName: Name of the test method.
    """

    def get_temp_dir(self) -> str:
        """Return a folder that is removed after the test."""
        if not hasattr(self, "_temp_dir"):
            folder = tempfile.TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            self._temp_dir = folder.name
        return self._temp_dir

    def assertAllClose(
        self, a: Tree, b: Tree, rtol: float = 1e-6, atol: float = 1e-6, msg: object = None
    ) -> None:
        """Check that the leaves of two structures are close and of equal shapes.

        Args:
            a: Tensor, or a structure of tensors.
            b: The same.
            rtol: Relative tolerance.
            atol: Absolute tolerance.
            msg: Message of the error.
        """

        def check(x: np.ndarray, y: np.ndarray) -> None:
            assert x.shape == y.shape, f"shapes {x.shape} and {y.shape} differ. {msg or ''}"
            np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=str(msg or ""))

        _leaves(check, a, b)

    def assertAllEqual(self, a: Tree, b: Tree, msg: object = None) -> None:
        """Check that two arrays are equal.

        Args:
            a: Tensor.
            b: Tensor.
            msg: Message of the error.
        """
        x, y = np.asarray(a), np.asarray(b)
        assert x.shape == y.shape, f"shapes {x.shape} and {y.shape} differ. {msg or ''}"
        if {x.dtype.kind, y.dtype.kind} & set("SUO"):
            x, y = (np.vectorize(_text, otypes=[object])(z) if z.size else z for z in (x, y))
        np.testing.assert_array_equal(x, y, err_msg=str(msg or ""))

    def _assert_fails(self, check: Callable[..., None], *args: object, msg: object = None) -> None:
        try:
            check(*args)
        except AssertionError:
            return
        self.fail(msg or "the values are equal")

    def assertNotAllClose(
        self, a: Tree, b: Tree, rtol: float = 1e-6, atol: float = 1e-6, msg: object = None
    ) -> None:
        """Check that `assertAllClose` fails.

        Args:
            a: Tensor, or a structure of tensors.
            b: The same.
            rtol: Relative tolerance.
            atol: Absolute tolerance.
            msg: Message of the error.
        """
        self._assert_fails(self.assertAllClose, a, b, rtol, atol, msg=msg)

    def assertNotAllEqual(self, a: Tree, b: Tree, msg: object = None) -> None:
        """Check that `assertAllEqual` fails.

        Args:
            a: Tensor.
            b: Tensor.
            msg: Message of the error.
        """
        self._assert_fails(self.assertAllEqual, a, b, msg=msg)

    def assertAllInRange(self, target: TensorLike, lower_bound: float, upper_bound: float) -> None:
        """Check that all values are between two bounds, bounds included.

        Args:
            target: Tensor.
            lower_bound: Least value.
            upper_bound: Greatest value.
        """
        x = np.asarray(target)
        assert ((x >= lower_bound) & (x <= upper_bound)).all(), f"{x} is not in {lower_bound}..{upper_bound}"

    def assertShapeEqual(self, a: Tree, b: Tree, msg: object = None) -> None:
        """Check that two tensors have one shape.

        Args:
            a: Tensor.
            b: Tensor.
            msg: Message of the error.
        """
        assert tuple(a.shape) == tuple(b.shape), msg


def _text(x: object) -> object:
    return x.decode() if isinstance(x, bytes) else x
