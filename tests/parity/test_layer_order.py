"""Layers of functional models come in Keras's order, which the making of masks takes part in.

Weights are set, and files of weights are read, in that order: where it differs, layers of one shape swap.
"""

from __future__ import annotations

import random
from pathlib import Path

import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.parity.both import numpy_initial_values
from tests.helpers.parity.comparison import fresh, order_of_layers
from tests.helpers.parity.grammar import build

# What may be done with sequences `{x}` and `{y}` of shape (4, 3): each keeps that shape.
_STEPS = """
layers.LSTM(3, return_sequences=True)({x})
layers.GRU(3, return_sequences=True)({x}, training=False)
layers.SimpleRNN(3, return_sequences=True)({x}, initial_state={y}[:, 0])
layers.SimpleRNN(3, return_sequences=True)({x}, mask=keras.ops.any({y} > 0.0, axis=-1))
layers.GRU(3, return_sequences=True, return_state=True)({x})[0]
layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode='sum')({x})
layers.TimeDistributed(layers.Dense(3))({x})
layers.Masking()({x})
layers.Dense(3)({x})
layers.Dense(3, dtype='mixed_float16')({x})
layers.LSTM(3, return_sequences=True, dtype='mixed_float16')({x})
layers.Dropout(0.5)({x})
layers.BatchNormalization()({x})
layers.LayerNormalization()({x})
layers.Conv1D(3, 1)({x})
layers.Add()([{x}, {y}])
layers.Maximum()([{x}, {y}])
layers.Dense(3)(layers.Concatenate()([{x}, {y}]))
layers.Concatenate(axis=1)([{x}, {y}])[:, :4]
layers.Attention()([{x}, {y}])
layers.MultiHeadAttention(1, 3)({x}, {y})
{x} + {y}
keras.Model(a := keras.Input((4, 3)), layers.Dense(3)(a))({x})
keras.Model(a := keras.Input((4, 3)), layers.LSTM(3, return_sequences=True)(layers.Masking()(a)))({x})
keras.Model([a := keras.Input((4, 3)), b := keras.Input((4, 3))], a + b)([{x}, {y}])
keras.Sequential([layers.Dense(3), layers.GRU(3, return_sequences=True)])({x})
shared({x})
again({x})
"""
_INPUTS = """
layers.Embedding(6, 3, mask_zero=True)(ids)
layers.Embedding(6, 3)(ids)
layers.ReversibleEmbedding(6, 3, mask_zero=True)(ids)
layers.Masking()(keras.Input((4, 3)))
"""
STEPS, INPUTS = (text.split("\n")[1:-1] for text in (_STEPS, _INPUTS))
ENDS = ("layers.LSTM(3)({x})", "layers.GlobalAveragePooling1D()({x})", "layers.Flatten()({x})")
MODELS = 60


def write(seed: int) -> str:
    """The code of a random model of masked sequences."""
    rng = random.Random(seed)
    lines = [
        "layers = keras.layers",
        "ids = keras.Input((4,), dtype='int32')",
        "numbers = keras.Input((4, 3))",
        "shared = layers.LSTM(3, return_sequences=True)",
        "again = layers.Dense(3)",
    ]
    inputs = [text.replace("keras.Input((4, 3))", "numbers") for text in rng.choices(INPUTS, k=2)]
    names: list[str] = []
    used: set[str] = set()
    for expression in [*inputs, *rng.choices(STEPS, k=rng.randrange(3, 14))]:
        recent = [*names, *names[-2:] * 2]
        x, y = (rng.choice(recent) if recent else "" for _ in range(2))
        used |= {name for name, index in ((x, "{x}"), (y, "{y}")) if index in expression}
        names.append(f"x{len(names)}")
        lines.append(f"{names[-1]} = {expression.format(x=x, y=y)}")
    ends = [rng.choice(ENDS).format(x=name) for name in names if name not in used]
    lines.append(f"return keras.Model([ids, numbers], [{', '.join(ends)}])")
    return "def build(keras):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("seed", range(MODELS))
def test_layers_of_masked_models_come_in_keras_order(seed: int) -> None:
    code = write(seed)
    fresh()
    ours, theirs = build(code, hornbeam), build(code, keras)
    assert order_of_layers(ours) == order_of_layers(theirs), code


# Two layers of one shape: the mask is made from `behind`, which therefore comes before `beside`.
SWAPPABLE = """
def build(keras):
    layers = keras.layers
    x = keras.Input((4, 3))
    beside, behind = layers.Dense(3), layers.Dense(3)
    flat = layers.Flatten()(layers.ReLU()(beside(x)))
    return keras.Model(x, [flat, layers.LSTM(2)(layers.Masking()(behind(x)))])
"""


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("writer", ["ours", "theirs"])
def test_files_do_not_swap_layers_of_one_shape(writer: str, ending: str, tmp_path: Path) -> None:
    sides = (hornbeam, keras) if writer == "ours" else (keras, hornbeam)
    fresh()
    with numpy_initial_values():
        written, read = (build(SWAPPABLE, side) for side in sides)
    file = str(tmp_path / f"model{ending}")
    if ending == ".keras":
        written.save(file)
        read = sides[1].models.load_model(file)
    else:
        written.save_weights(file)
        read.load_weights(file)
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    for a, b in zip(written.predict(x, verbose=0), read.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    read.set_weights(written.get_weights())
    for a, b in zip(written.predict(x, verbose=0), read.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
