"""Unknown sizes are printed as None, never as their symbols."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops


def i(*shape: int | None, dtype: str = "float32") -> Any:
    return hb.Input(shape, dtype=dtype)


class Custom(layers.Layer):
    """A layer whose error depends on a function of the sizes."""

    def __init__(self, message: Callable[[Any], str]) -> None:
        super().__init__()
        self.message = message

    def call(self, x: Any) -> Any:
        raise ValueError(self.message(x))


class Nested(layers.Layer):
    """A layer that builds another one inside of its call."""

    def __init__(self, inner: layers.Layer) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x)


ERRORS: dict[str, Callable[[], Any]] = {
    "Dense on an unknown axis": lambda: layers.Dense(3)(i(4, None)),
    "Dense inside of a layer": lambda: Nested(layers.Dense(3))(i(4, None)),
    "Dense inside of two layers": lambda: Nested(Nested(layers.Dense(3)))(i(None)),
    "Dense of another size": lambda: (d := layers.Dense(3), d(i(4)), d(i(None, 5))),
    "Conv2D with large windows": lambda: layers.Conv2D(4, 9)(i(None, 5, 3)),
    "Conv2D without channels": lambda: layers.Conv2D(4, 3)(i(None, None, None)),
    "Conv2D of another rank": lambda: layers.Conv2D(4, 3)(i(None, 3)),
    "Conv2D in channels first": lambda: layers.Conv2D(4, 9, data_format="channels_first")(i(3, None, 5)),
    "Conv1D of another rank": lambda: layers.Conv1D(4, 3)(i(None)),
    "Conv2DTranspose": lambda: layers.Conv2DTranspose(4, 3)(i(None, None, None)),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(9)(i(None, 5, 3)),
    "SeparableConv2D": lambda: layers.SeparableConv2D(4, 9)(i(None, 5, 3)),
    "MaxPooling2D": lambda: layers.MaxPooling2D(3)(i(None, 2, 3)),
    "AveragePooling1D": lambda: layers.AveragePooling1D(3)(i(2, None)),
    "GlobalAveragePooling2D": lambda: layers.GlobalAveragePooling2D()(i(None, 3)),
    "LSTM on rows": lambda: layers.LSTM(8)(i(None)),
    "LSTM of unknown features": lambda: layers.LSTM(8)(i(None, None)),
    "GRU inside of a layer": lambda: Nested(layers.GRU(8))(i(None, None)),
    "stateful LSTM": lambda: layers.LSTM(8, stateful=True)(i(None, 3)),
    "Concatenate": lambda: layers.Concatenate(axis=1)([i(None, 3), i(None, 4)]),
    "Add": lambda: layers.Add()([i(None, 3), i(None, 4)]),
    "Reshape with a remainder": lambda: layers.Reshape((7, 5, -1))(i(4, 3)),
    "Permute": lambda: layers.Permute((2, 1))(i(None, 3, 4)),
    "RepeatVector": lambda: layers.RepeatVector(3)(i(None, 3)),
    "Cropping2D": lambda: layers.Cropping2D(3)(i(None, 4, 3)),
    "BatchNormalization": lambda: layers.BatchNormalization()(i(3, None)),
    "LayerNormalization": lambda: layers.LayerNormalization()(i(3, None)),
    "GroupNormalization": lambda: layers.GroupNormalization(5)(i(None, 8)),
    "MultiHeadAttention": lambda: layers.MultiHeadAttention(2, 4)(i(None, 3), i(None, 3, 4)),
    "Attention": lambda: layers.Attention()([i(None, 3), i(None, 4)]),
    "EinsumDense": lambda: layers.EinsumDense("abc,cd->abd", output_shape=(None, 4))(i(None, None)),
    "Embedding of floats": lambda: layers.TimeDistributed(layers.Dense(3))(i(None)),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(3))(i(None)),
    "matmul": lambda: ops.matmul(i(None, 3), i(4, None)),
    "einsum": lambda: ops.einsum("abc,acd->abd", i(None, 3), i(4, None)),
    "broadcasting": lambda: i(None, 3) + i(None, 4),
    "broadcasting with an array": lambda: i(None, 3) * np.ones((7, 4), "float32"),
    "concatenate": lambda: ops.concatenate([i(None, 3), i(None, 4)], axis=1),
    "stack": lambda: ops.stack([i(None, 3), i(None, 4)]),
    "transpose": lambda: ops.transpose(i(None, 3), (0, 1)),
    "take_along_axis": lambda: ops.take_along_axis(i(None, 3), i(4, dtype="int32"), axis=1),
    "indexing": lambda: i(None, 3)[:, :, 5],
    "too many indices": lambda: i(None, 3)[:, 1, 2, 3],
    "conv": lambda: ops.conv(i(None, 3), np.ones((3, 4, 5), "float32")),
    "a user's shape": lambda: Custom(lambda x: f"got {x.shape}, {x.shape[1]:>4}, {x.shape[0]!s}")(i(None, 3)),
    "a user's arithmetic": lambda: Custom(
        lambda x: f"{x.shape[1] * 2 + 1}, {x.shape[1] // 2}, {2 * x.shape[1]}, {-x.shape[0]}"
    )(i(None, 3)),
    "a user's integers": lambda: Custom(
        lambda x: f"{int(x.shape[1])}, {np.prod(x.shape)}, {x.shape[0] / 2}, {float(x.shape[1])}"
    )(i(None, 3)),
    "a model inside of a model": lambda: hb.Sequential(
        [hb.Input((None, 3)), hb.Sequential([layers.Conv1D(4, 3), layers.Dense(2)]), layers.LSTM(2),
         layers.Conv1D(1, 1)]
    ),
}  # fmt: skip


def message(name: str) -> str:
    hb.backend.clear_session()
    with pytest.raises(Exception) as caught:
        ERRORS[name]()
    return str(caught.value)


@pytest.mark.parametrize("name", ERRORS)
def test_no_message_has_a_symbol(name: str) -> None:
    assert not re.search(r"\b(batch|size)_\d", message(name))


def test_what_may_fit_is_taken_to_fit() -> None:
    assert layers.Dot(axes=1)([i(None, 3), i(5, 4)]).shape == (None, 3, 4)
    assert layers.Reshape((7, 5))(i(None, 3)).shape == (None, 7, 5)
    assert ops.reshape(i(None, 3), (5, 7)).shape == (5, 7)
    assert [part.shape for part in ops.split(i(None, 3), 2, axis=1)] == [(None, None, 3)] * 2
    assert (i(None, 1) + i(5, 3)).shape == (None, 5, 3)


def test_layers_inside_of_a_call_are_built_for_unknown_sizes() -> None:
    outer = Nested(Nested(layers.Dense(3)))
    outer(i(None, 4))
    dense = outer.inner.inner
    assert dense.get_build_config() == {"input_shape": (None, None, 4)}
    assert dense.kernel.shape == (4, 3)


def test_inferred_sizes_are_plain_integers_or_none() -> None:
    y = ops.reshape(i(None, 4), (-1, 2))
    assert y.shape == (None, 2)
    assert all(size is None or type(size) is int for size in y.shape)
    same = ops.concatenate([i(None, 4)[:, :0], i(3, 4)], axis=1)
    assert same.shape == (None, 3, 4)
    assert all(size is None or type(size) is int for size in same.shape)
