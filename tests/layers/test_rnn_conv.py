"""Convolutional LSTMs beyond the table of layers: layouts, states, dropout, training, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.ir.types import ShapeError
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(2, 4, 5, 6, 3)).astype("float32")


def same_weights(*result: Any) -> None:
    for layer in result[1:]:
        layer.set_weights(result[0].get_weights())


def test_channels_first() -> None:
    last = layers.ConvLSTM2D(2, (2, 3), return_sequences=True)
    first = layers.ConvLSTM2D(2, (2, 3), return_sequences=True, data_format="channels_first")
    expected = np.asarray(last(X))
    first.build((None, 4, 3, 5, 6))
    same_weights(last, first)
    actual = np.asarray(first(X.transpose(0, 1, 4, 2, 3)))
    np.testing.assert_allclose(actual.transpose(0, 1, 3, 4, 2), expected, rtol=1e-5, atol=1e-6)


def test_is_an_lstm_where_a_step_is_one_point() -> None:
    x = X[:, :, :1, 0]
    conv, plain = layers.ConvLSTM1D(4, 1), layers.LSTM(4)
    conv(x), plain(x[:, :, 0])
    plain.set_weights([w.reshape(w.shape[-2:]) if w.ndim > 1 else w for w in conv.get_weights()])
    np.testing.assert_allclose(np.asarray(conv(x))[:, 0], np.asarray(plain(x[:, :, 0])), rtol=1e-5)


def test_states_go_on() -> None:
    layer = layers.ConvLSTM2D(2, 2, padding="same")
    parts = layers.ConvLSTM2D(2, 2, padding="same", stateful=True)
    expected = np.asarray(layer(X))
    parts(X[:, :2])
    same_weights(layer, parts)
    parts.reset_state()
    parts(X[:, :2])
    np.testing.assert_allclose(np.asarray(parts(X[:, 2:])), expected, rtol=1e-5, atol=1e-6)
    started = layers.ConvLSTM2D(2, 2, padding="same", return_state=True)
    _, *states = started(X[:, :2])
    same_weights(layer, started)
    _, *states = started(X[:, :2])
    actual, *_ = started(X[:, 2:], initial_state=states)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["dropout", "recurrent_dropout"])
def test_dropout_has_a_mask_for_each_gate(kind: str) -> None:
    ones = np.ones((3, 2, 4, 2), "float32")
    layer = layers.ConvLSTM1D(2, 3, padding="same", seed=1, return_sequences=True, **{kind: 0.5})
    plain = np.asarray(layer(ones, training=False))
    dropped = np.asarray(layer(ones, training=True))
    first = np.abs(dropped - plain)[:, 0].max()
    assert (first > 0) == (kind == "dropout")  # the state is zero at first
    assert np.abs(dropped - plain)[:, 1].max() > 0
    cell = layer.cell
    draw = cell.get_dropout_mask if kind == "dropout" else cell.get_recurrent_dropout_mask
    mask = np.asarray(draw(ones[:, 0]))
    cell.reset_dropout_masks()
    assert mask.shape == (3, 4, 8)
    assert set(np.unique(mask)) == {0.0, 2.0}
    assert any(not np.array_equal(mask[..., :2], mask[..., 2 * k : 2 * k + 2]) for k in range(1, 4))


def test_gates_see_their_own_masks() -> None:
    """The product with masks is that of each gate's kernel with its copy."""
    layer = layers.ConvLSTM1D(2, 3, padding="same", seed=1, dropout=0.5)
    layer(X[:, :, 0])
    cell, x = layer.cell, X[:, 0, 0]
    actual = np.asarray(cell.project(x, training=True))
    mask = np.asarray(cell.get_dropout_mask(x))
    kernel = np.asarray(cell.kernel)
    for gate in range(4):
        own, seen = slice(2 * gate, 2 * gate + 2), slice(3 * gate, 3 * gate + 3)
        part = hornbeam.ops.conv(x * mask[..., seen], kernel[..., own], padding="same")
        expected = np.asarray(part) + np.asarray(cell.bias)[own]
        np.testing.assert_allclose(actual[..., own], expected, rtol=1e-4, atol=1e-5)
    cell.reset_dropout_masks()


def test_learns_and_comes_back(tmp_path: Any) -> None:
    """Return the next position of a moving point."""
    places = np.arange(6)
    frames = np.stack([np.eye(12, dtype="float32")[places + step] for step in range(4)], axis=1)[..., None]
    model = compiled_model(
        (3, 12, 1),
        [layers.ConvLSTM1D(8, 3, padding="same", dropout=0.1, recurrent_dropout=0.1), layers.Dense(1)],
        hornbeam.optimizers.Adam(0.03),
        "mse",
    )
    history = model.fit(frames[:, :3], frames[:, 3], epochs=60, verbose=0).history["loss"]
    assert history[-1] < history[0] / 3
    model.save(tmp_path / "model.keras")
    again = hornbeam.models.load_model(tmp_path / "model.keras")
    x = frames[:, :3]
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_mistakes() -> None:
    with pytest.raises(ShapeError, match=r"sizes and channels must be known .* \(None, None, 3\)"):
        layers.ConvLSTM1D(2, 3)(hornbeam.Input((4, None, 3)))
    with pytest.raises(ShapeError, match="larger than its input"):
        layers.ConvLSTM1D(2, 9)(np.ones((1, 2, 5, 3), "float32"))
    with pytest.raises(ShapeError, match="rank 5"):
        layers.ConvLSTM2D(2, 3)(np.ones((1, 5, 5, 3), "float32"))
    with pytest.raises(ValueError, match="cannot both be above 1"):
        layers.ConvLSTM1D(2, 3, strides=2, dilation_rate=2)
    with pytest.raises(ValueError, match="padding must be one of"):
        layers.ConvLSTM1D(2, 3, padding="causal")
    with pytest.raises(ValueError, match="dropout must be"):
        layers.ConvLSTM1D(2, 3, dropout=1.5)
