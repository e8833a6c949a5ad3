"""Arguments that operations refuse, as the kind of error that Keras raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam.ir.types import ShapeError

ONES = np.ones(9, np.float32)

REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ops.stft(ONES, 2, 1.5, 4), ValueError, "sequence_stride must be a positive integer, got 1.5"),
    (lambda: ops.istft((ONES, ONES), 2, 0, 4), ValueError, "sequence_stride must be a positive integer"),
    (lambda: ops.stft(ONES, 4, 1, 2), ValueError, "`fft_length` must equal or exceed `sequence_length`"),
    (lambda: ops.stft(ONES, 4, 1, 4, window="blackman"), ValueError, "If a string is passed to `window`"),
    (lambda: ops.stft(ONES, 4, 1, 4, window=np.ones(3)), ShapeError, r"must be equal to \(4,\)"),
    (lambda: ops.irfft((ONES,)), ValueError, "a pair .* got 1 of them"),
    (lambda: ops.fft((ONES, ONES, ONES)), ValueError, "a pair .* got 3 of them"),
    (lambda: ops.softmax(1.0), ValueError, "at least one axis"),
    (lambda: ops.concatenate([ONES, ONES], axis=None), ValueError, "joins along one axis"),
    (lambda: ops.eye(3.0), TypeError, "N must be an integer"),
    (lambda: ops.eye(ops.max(ops.arange(4.0))), TypeError, "got a tensor of float32"),
    (lambda: ops.view(np.int16(1), "int8"), ShapeError, "does not divide"),
    (lambda: ops.convert_to_numpy(hornbeam.KerasTensor((2,))), ValueError, "it has no value yet"),
    (lambda: ops.image.hsv_to_rgb(np.ones((4, 4, 3), "int32")), ValueError, "divide by 255"),
    (lambda: ops.image.extract_patches(np.ones((1, 8, 8, 3)), "5"), TypeError, "an integer or 2 of them"),
    (lambda: ops.image.extract_patches(np.ones((1, 8, 8, 3)), (3,) * 4), ValueError, "2 of them"),
    (lambda: ops.histogram(ONES, range=(1,)), ValueError, r"a pair .* got \(1,\)"),
    (lambda: ops.histogram(ONES, range=(5, 1)), ValueError, "a pair"),
    (lambda: ops.image.extract_patches_3d(np.ones((1, 8, 8, 8, 1)), (4, 4)), TypeError, "3 of them"),
    (lambda: ops.layer_normalization(ONES, scale=ONES), TypeError, "unknown arguments"),
    (lambda: ops.unstack(hornbeam.KerasTensor((None, 3))), ValueError, "unknown size: give num"),
    (lambda: ops.squeeze(hornbeam.KerasTensor((None, 1)), 0), ValueError, "not all of size 1"),
    (lambda: ops.hanning(ops.max([4.5])), TypeError, "length of a window must be an integer"),
    (lambda: ops.cholesky(-np.eye(2)), ValueError, "not positive definite"),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_refused(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_length_that_is_a_float() -> None:
    np.testing.assert_array_equal(ops.hanning(ops.max([4.0, 5.0])), ops.hanning(5))


def test_scaling_by_the_deviation_is_deprecated() -> None:
    x = np.array([[1, 2, 3, 6]], np.float32)
    with pytest.warns(UserWarning, match="use ops.rms_normalization"):
        scaled = ops.layer_normalization(x, gamma=2 * np.ones(4), epsilon=0.0, rms_scaling=True)
    np.testing.assert_allclose(scaled, 2 * x / x.std(), rtol=1e-6)


def test_a_failing_cholesky_of_a_compiled_function_is_nan() -> None:
    factor = hornbeam.jit(ops.cholesky)
    assert np.isnan(np.asarray(factor(-np.eye(2)))).any()
    # NaN that comes in is not an indefinite matrix.
    assert np.isnan(np.asarray(ops.cholesky(np.full((2, 2), np.nan)))).all()
    x = hornbeam.Variable(np.diag([4.0, 9.0]).astype("float32"))
    gradient = hornbeam.grad(lambda v: ops.sum(ops.cholesky(v)))(x.value)
    np.testing.assert_allclose(np.diag(np.asarray(gradient)), [1 / 4, 1 / 6], rtol=1e-6)
