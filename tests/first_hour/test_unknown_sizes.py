"""Unknown sizes are printed as None, never as the numbers with which shapes are inferred."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.core import symbolic
from hornbeam.ir.types import UnknownSize

# Two sets of probed sizes, of which no number may be seen: whatever depends on them differs between the two.
PROBES = [
    (((83, 96), (89, 128)), ((89, 128), (97, 160), (101, 224))),
    (((331, 576), (337, 608)), ((337, 608), (347, 672), (349, 736))),
]


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
    "Dot": lambda: layers.Dot(axes=1)([i(None, 3), i(5, 4)]),
    "Reshape": lambda: layers.Reshape((7, 5))(i(None, 3)),
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
    "reshape": lambda: ops.reshape(i(None, 3), (-1, 7)),
    "reshape to a wrong size": lambda: ops.reshape(i(None, 3), (5, 7)),
    "transpose": lambda: ops.transpose(i(None, 3), (0, 1)),
    "split": lambda: ops.split(i(None, 3), 7, axis=1),
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
def test_no_message_depends_on_what_is_probed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for probes, others in PROBES:
        monkeypatch.setattr(symbolic, "_PROBES", probes)
        monkeypatch.setattr(symbolic, "_OTHER_PROBES", others)
        texts.append(message(name))
    assert texts[0] == texts[1]
    for number in ("83", "96", "89", "128"):
        assert number not in texts[0]


def test_layers_inside_of_a_call_are_built_for_unknown_sizes() -> None:
    outer = Nested(Nested(layers.Dense(3)))
    outer(i(None, 4))
    dense = outer.inner.inner
    assert dense.get_build_config() == {"input_shape": (None, None, 4)}
    assert dense.kernel.shape == (4, 3)


def test_what_is_computed_from_an_unknown_size_is_unknown() -> None:
    size = UnknownSize(83)
    values = [
        size + 1,
        1 + size,
        size - 1,
        100 - size,
        size * 3,
        3 * size,
        size // 2,
        size % 7,
        -size,
        abs(size),
    ]
    assert [int(value) for value in values] == [84, 84, 82, 17, 249, 249, 41, 6, -83, 83]
    assert {str(value) for value in values} == {"None"}
    assert f"{size:,}" == repr(size) == "None"
    assert size == 83
    assert {83: "x"}[size] == "x"
    assert size / 2 == 41.5


def test_inferred_sizes_are_plain_integers_or_none() -> None:
    y = ops.reshape(i(None, 4), (-1, 2))
    assert y.shape == (None, 2)
    assert all(size is None or type(size) is int for size in y.shape)
    same = ops.concatenate([i(None, 4)[:, :0], i(3, 4)], axis=1)
    assert same.shape == (None, 3, 4)
    assert all(size is None or type(size) is int for size in same.shape)


def test_numbers_in_names_stay() -> None:
    class Namer(layers.Layer):
        def call(self, x: Any) -> Any:
            raise ValueError(f"{hb.Variable(1.0).name} and {layers.Flatten().name}: {int(x.shape[1])}")

    layers.Flatten()
    with pytest.raises(ValueError, match=r"^variable_\d+ and flatten_\d+: None"):
        Namer()(i(None))
