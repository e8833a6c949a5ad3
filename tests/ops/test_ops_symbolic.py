"""Operations on symbolic tensors: shapes with an unknown batch, and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import activations, ops, random
from hornbeam.core.symbolic import KerasTensor
from hornbeam.errors import ConcretizationError, LikelyMistakeWarning

IMAGE = KerasTensor((None, 8, 6, 3))
ROWS = KerasTensor((None, 5))
HEADS = KerasTensor((None, None, 2, 4))
LABELS = KerasTensor((None,), "int32")

CASES: list[tuple[Callable[[], Any], tuple, str]] = [
    (lambda: ROWS + 1.0, (None, 5), "float32"),
    (lambda: ROWS @ np.ones((5, 2), np.float32), (None, 2), "float32"),
    (lambda: ops.mean(ROWS, axis=-1), (None,), "float32"),
    (lambda: ops.sum(ROWS), (), "float32"),
    (lambda: ops.argmax(ROWS, axis=1), (None,), "int32"),
    (lambda: ops.reshape(IMAGE, (-1, 48, 3)), (None, 48, 3), "float32"),
    (lambda: ops.transpose(IMAGE, (0, 3, 1, 2)), (None, 3, 8, 6), "float32"),
    (lambda: ops.concatenate([ROWS, ROWS], axis=1), (None, 10), "float32"),
    (lambda: ops.stack([ROWS, ROWS], axis=1), (None, 2, 5), "float32"),
    (lambda: ops.expand_dims(ROWS, 1), (None, 1, 5), "float32"),
    (lambda: ops.squeeze(ops.expand_dims(ROWS, 1), 1), (None, 5), "float32"),
    (lambda: ops.split(ROWS, [2], 1)[1], (None, 3), "float32"),
    (lambda: ROWS[:, 1:3], (None, 2), "float32"),
    (lambda: ops.tile(ROWS, (1, 2)), (None, 10), "float32"),
    (lambda: ops.pad(IMAGE, ((0, 0), (1, 1), (0, 0), (0, 0))), (None, 10, 6, 3), "float32"),
    (lambda: ops.one_hot(LABELS, 7), (None, 7), "float32"),
    (lambda: ops.take(np.ones((9, 4), np.float32), LABELS, axis=0), (None, 4), "float32"),
    (lambda: ops.cast(LABELS, "float16"), (None,), "float16"),
    (lambda: ops.where(ROWS > 0, ROWS, 0.0), (None, 5), "float32"),
    (lambda: ops.zeros_like(ROWS), (None, 5), "float32"),
    (lambda: ops.conv(IMAGE, np.ones((3, 3, 3, 4), np.float32), 2, "same"), (None, 4, 3, 4), "float32"),
    (lambda: ops.max_pool(IMAGE, 2), (None, 4, 3, 3), "float32"),
    (lambda: ops.softmax(ROWS), (None, 5), "float32"),
    (lambda: activations.mish(ROWS), (None, 5), "float32"),
    (lambda: ops.layer_normalization(ROWS), (None, 5), "float32"),
    (lambda: ops.einsum("bi,bj->bij", ROWS, ROWS), (None, 5, 5), "float32"),
    (lambda: ops.top_k(ROWS, 2)[1], (None, 2), "int32"),
    (lambda: ops.sparse_categorical_crossentropy(LABELS, ROWS), (None,), "float32"),
    (lambda: ops.image.resize(IMAGE, (4, 4)), (None, 4, 4, 3), "float32"),
    (lambda: ops.cumsum(ROWS, 1), (None, 5), "float32"),
    (lambda: ops.irfft((KerasTensor((None, 5)), KerasTensor((None, 5)))), (None, 8), "float32"),
    (lambda: ops.irfft((KerasTensor((4, None)), KerasTensor((4, None)))), (4, None), "float32"),
    (lambda: ops.ifft2((KerasTensor((4, None)), KerasTensor((4, None))))[1], (4, None), "float32"),
    (lambda: ops.map(lambda x: x * 2, ROWS), (None, 5), "float32"),
    (lambda: ops.jvp(ops.sin, (ROWS,), (ROWS,))[1], (None, 5), "float32"),
    (lambda: ops.unique(ROWS, axis=1, size=3), (None, 3), "float32"),
    (lambda: ops.unique(ROWS, size=3), (3,), "float32"),
    (lambda: ops.unique(ROWS, axis=0, size=3), (3, 5), "float32"),
    (lambda: ops.searchsorted(KerasTensor((None,)), np.ones((2, 3))), (2, 3), "int32"),
    (lambda: ops.unstack(ROWS, num=3)[2], (5,), "float32"),
    (lambda: ops.associative_scan(ops.add, ROWS), (None, 5), "float32"),
    (lambda: ops.associative_scan(ops.add, ROWS, axis=1), (None, 5), "float32"),
    (lambda: ops.jvp(ops.cos, (ROWS,), (KerasTensor((None, 5)),))[1], (None, 5), "float32"),
    (lambda: ops.rms_normalization(ROWS, KerasTensor((None, 5))), (None, 5), "float32"),
    (
        lambda: ops.image.pad_images(
            KerasTensor((None, None, None, 3)), 2, 3, target_height=9, target_width=8
        ),
        (None, 9, 8, 3),
        "float32",
    ),
    (lambda: ops.linspace(ROWS, 1.0, 4), (4, None, 5), "float32"),
    (lambda: ops.geomspace(1.0, ROWS, 4, axis=1), (None, 4, 5), "float32"),
    (lambda: ops.while_loop(lambda x: ops.sum(x) < 1, lambda x: x * 2, ROWS), (None, 5), "float32"),
    (lambda: ops.switch(ops.sum(LABELS), [lambda x: x, lambda x: -x], ROWS), (None, 5), "float32"),
    (lambda: random.dropout(ROWS, 0.5, seed=1), (None, 5), "float32"),
    (lambda: ops.dot_product_attention(HEADS, HEADS, HEADS), (None, None, 2, 4), "float32"),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_symbolic(number: int) -> None:
    make, shape, dtype = CASES[number]
    out = make()
    assert isinstance(out, KerasTensor)
    assert out.shape == shape
    assert out.dtype == dtype
    assert out.history is not None


def test_sizes_as_values() -> None:
    assert ops.shape(ROWS) == (None, 5)
    assert ops.ndim(ROWS) == 2
    assert repr(ops.size(ROWS)) == "<KerasTensor shape=() dtype=int32>"


def test_numbers_of_results_that_depend_on_values() -> None:
    """Unknown sizes, in models that run eagerly."""
    x = hornbeam.Input((4,))
    assert [t.shape for t in ops.nonzero(x)] == [(None,), (None,)]
    values, first, inverse = ops.unique(x, axis=0, return_index=True, return_inverse=True)
    assert (values.shape, first.shape, inverse.shape) == ((None, 4), (None,), (None,))
    assert ops.segment_sum(x, LABELS).shape == (None, 4)
    assert ops.segment_max(x, LABELS, num_segments=3).shape == (3, 4)
    model = hornbeam.Model(x, ops.unique(x))
    data = np.array([[2, 1, 2, 3]], np.float32)
    with pytest.raises(ConcretizationError, match=r"ops.unique needs it.*run_eagerly=True"):
        model(data)
    model.compile(run_eagerly=True)
    with pytest.warns(LikelyMistakeWarning, match="1 samples give 3 predictions"):
        np.testing.assert_array_equal(model.predict(data, verbose=0), [1, 2, 3])
