"""einops on Hornbeam's tensors, with NumPy as the oracle, and its layers for Keras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import einops
import numpy as np
import pytest

import hornbeam as hb

hb.interop.register_einops()
X = np.arange(24, dtype="float32").reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("pattern", "sizes"),
    [("a b c -> (b a) c", {}), ("a b (c d) -> d a (b c)", {"d": 2}), ("a b c -> 1 (a b c)", {})],
)
def test_rearrange(pattern: str, sizes: dict[str, int]) -> None:
    result = einops.rearrange(hb.ops.convert_to_tensor(X), pattern, **sizes)
    assert isinstance(result, hb.Tensor)
    np.testing.assert_array_equal(result, einops.rearrange(X, pattern, **sizes))


@pytest.mark.parametrize("operation", ["min", "max", "sum", "mean", "prod"])
def test_reduce(operation: str) -> None:
    for x in (hb.ops.convert_to_tensor(X), hb.Variable(X)):
        result = einops.reduce(x, "a b c -> c a", operation)
        np.testing.assert_allclose(result, einops.reduce(X, "a b c -> c a", operation), rtol=1e-6)


def test_repeat_pack_and_einsum() -> None:
    x = hb.ops.convert_to_tensor(X)
    np.testing.assert_array_equal(
        einops.repeat(x, "a b c -> a (b 2) c"), einops.repeat(X, "a b c -> a (b 2) c")
    )
    packed, shapes = einops.pack([x, x[:, 0]], "a * c")
    expected, _ = einops.pack([X, X[:, 0]], "a * c")
    np.testing.assert_array_equal(packed, expected)
    for part, original in zip(einops.unpack(packed, shapes, "a * c"), (X, X[:, 0]), strict=True):
        np.testing.assert_array_equal(part, original)
    np.testing.assert_allclose(einops.einsum(x, x, "a b c, a d c -> b d"), np.einsum("abc,adc->bd", X, X))
    np.testing.assert_array_equal(einops.rearrange([x, x], "n a b c -> a n b c"), np.stack([X, X], 1))


def test_gradients() -> None:
    grad = hb.grad(lambda x: hb.ops.sum(einops.reduce(x, "a b c -> b", "mean") ** 2))(X)
    np.testing.assert_allclose(grad, np.broadcast_to(X.mean((0, 2))[None, :, None] / 4, X.shape), rtol=1e-6)


def test_symbolic_tensors_keep_unknown_sizes() -> None:
    x = hb.Input((6, 4))
    y = einops.rearrange(x, "b (h w) c -> b h w c", h=2)
    assert y.shape == (None, 2, 3, 4)
    rows = np.arange(72, dtype="float32").reshape(3, 6, 4)
    np.testing.assert_array_equal(hb.Model(x, y)(rows), rows.reshape(3, 2, 3, 4))
    with pytest.raises(ValueError, match=r"several sizes are unknown. Use the layer, einops.layers.keras"):
        einops.rearrange(hb.Input((None, 4)), "b (h w) c -> b h w c", h=2)


LAYERS = """
import keras
import numpy as np
from einops.layers.keras import EinMix, Rearrange, Reduce, keras_custom_objects

model = keras.Sequential([
    keras.Input((None, 4)),
    Rearrange("b (h w) c -> b h w c", h=2),
    EinMix("b h w c -> b h w d", weight_shape="c d", bias_shape="d", c=4, d=5),
    Reduce("b h w c -> b c", "mean"),
])
model.compile("sgd", "mse")
x = np.random.default_rng(0).normal(size=(8, 6, 4)).astype("float32")
losses = model.fit(x, np.ones((8, 5)), epochs=3, verbose=0).history["loss"]
assert losses[2] < losses[1] < losses[0], losses
model.save("model.keras")
again = keras.models.load_model("model.keras", custom_objects=keras_custom_objects)
np.testing.assert_allclose(again(x[:2, :4]), model(x[:2, :4]), rtol=1e-6)
print("same")
"""


def test_layers(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "hornbeam", "run", "-c", LAYERS]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "same", done.stderr
