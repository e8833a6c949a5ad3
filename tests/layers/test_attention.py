"""Attention against NumPy, and what masks hide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.ir.types import ShapeError


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(layer: Any, query: np.ndarray, value: np.ndarray, mask: Any = None) -> np.ndarray:
    """Multi-head attention with the layer's weights, head by head."""
    wq, bq, wk, bk, wv, bv, wo, bo = layer.get_weights()
    y = np.zeros((*query.shape[:2], wo.shape[-1])) + bo
    for head in range(wq.shape[1]):
        q, k, v = (
            query @ wq[:, head] + bq[head],
            value @ wk[:, head] + bk[head],
            value @ wv[:, head] + bv[head],
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(wq.shape[-1])
        if mask is not None:
            scores = np.where(mask, scores, -1e9)
        y = y + softmax(scores) @ v @ wo[head]
    return y


def with_random_weights(rng: np.random.Generator, layer: Any, *values: np.ndarray) -> Any:
    layer(*values)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    return layer


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention(engine: str, rng: np.random.Generator, scores: bool, causal: bool) -> None:
    query, value = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 4, 5))
    layer = with_random_weights(rng, layers.MultiHeadAttention(3, 2), query, value)
    y = layer(query, value, use_causal_mask=causal, return_attention_scores=scores)
    mask = np.tril(np.ones((4, 4), bool)) if causal else None
    np.testing.assert_allclose(y[0] if scores else y, attend(layer, query, value, mask), atol=2e-4)
    if scores:
        weights = np.asarray(y[1])
        assert weights.shape == (2, 3, 4, 4)
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_masks_of_inputs_hide_padding(rng: np.random.Generator) -> None:
    query, value = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 3, 6))
    layer = with_random_weights(rng, layers.MultiHeadAttention(2, 3), query, value)
    keep = np.array([[True, True, False], [True, True, True]])
    y = layer(query, value, value_mask=keep)
    np.testing.assert_allclose(y, attend(layer, query, value, keep[:, None]), atol=2e-4)
    masked = layers.Masking()(value * keep[..., None])
    np.testing.assert_allclose(layer(query, masked), y, atol=2e-4)
    wide = np.broadcast_to(keep[:, None, None], (2, 2, 4, 3))
    np.testing.assert_allclose(layer(query, value, attention_mask=wide), y, atol=2e-4)


def test_attention_axes_are_batches_of_attention(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 6))
    layer = with_random_weights(rng, layers.MultiHeadAttention(2, 3, attention_axes=2), x, x)
    y = np.asarray(layer(x, x))
    for row in range(3):
        np.testing.assert_allclose(y[:, row], attend(layer, x[:, row], x[:, row]), atol=2e-4)


def test_dropout_of_weights_only_in_training(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 8, 6))
    layer = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=1)
    quiet = np.asarray(layer(x, x))
    assert np.abs(np.asarray(layer(x, x, training=True)) - quiet).max() > 0
    np.testing.assert_array_equal(np.asarray(layer(x, x)), quiet)


@pytest.mark.parametrize("make", [
    lambda: layers.MultiHeadAttention(2, 3, dropout=0.5, seed=1),
    lambda: layers.GroupedQueryAttention(3, 2, 1, dropout=0.5, seed=1),
])  # fmt: skip
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_dropout_in_one_operation(
    engine: str, rng: np.random.Generator, make: Any, training: bool, causal: bool
) -> None:
    """It has the bits, and the zeros for queries without any key, of the weights that a call returns."""
    x = rng.normal(size=(2, 7, 6)).astype("float32")
    mask = rng.random((2, 7, 7)) < 0.6
    mask[:, 0] = mask[:, 4] = False
    for chosen in (None, mask):
        results = []
        for scores in (False, True):
            layer = make()
            layer(x, x)
            layer.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in layer.weights])
            options = {"attention_mask": chosen, "use_causal_mask": causal, "return_attention_scores": scores}
            y = layer(x, x, training=training, **options)
            results.append(np.asarray(y[0] if scores else y))
        np.testing.assert_allclose(*results, atol=2e-5)


def test_grouped_queries_share_keys_and_values(rng: np.random.Generator) -> None:
    query, value = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 3, 6))
    layer = with_random_weights(rng, layers.GroupQueryAttention(5, 4, 2), query, value)
    full = layers.MultiHeadAttention(4, 5)
    full(query, value)
    spread = [
        np.repeat(w, 2, axis=-2) if 2 <= index < 6 else w for index, w in enumerate(layer.get_weights())
    ]
    full.set_weights(spread)
    np.testing.assert_allclose(layer(query, value), full(query, value), atol=2e-4)
    with pytest.raises(ValueError, match="must be a multiple of num_key_value_heads"):
        layers.GroupQueryAttention(4, 3, 2)


def test_dot_attention(rng: np.random.Generator) -> None:
    query, value, key = (rng.normal(size=shape) for shape in ((2, 4, 6), (2, 3, 5), (2, 3, 6)))
    y = layers.Attention()([query, value, key])
    np.testing.assert_allclose(y, softmax(query @ key.swapaxes(1, 2)) @ value, atol=1e-5)


def test_additive_attention(rng: np.random.Generator) -> None:
    query, value = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 3, 6))
    layer = layers.AdditiveAttention()
    layer([query, value])
    layer.set_weights([rng.normal(size=6)])
    scores = (np.tanh(query[:, :, None] + value[:, None]) * np.asarray(layer.scale)).sum(-1)
    np.testing.assert_allclose(layer([query, value]), softmax(scores) @ value, atol=1e-5)


def test_query_masks_blank_the_output(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 3, 4))
    keep = np.array([[True, False, True]])
    y = np.asarray(layers.Attention()([x, x], mask=[keep, keep]))
    assert (y[0, 1] == 0).all()
    expected = softmax(np.where(keep, x[0] @ x[0].T, -1e9)) @ x[0]
    np.testing.assert_allclose(y[0, [0, 2]], expected[[0, 2]], atol=1e-5)


def test_wrong_inputs() -> None:
    with pytest.raises(ValueError, match=r"takes a list \[query, value\]"):
        layers.Attention()(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="score_mode must be one of"):
        layers.Attention(score_mode="cosine")
    with pytest.raises(ValueError, match="sliding_window must be an integer of at least 1, got 0"):
        layers.MultiHeadAttention(1, 1, sliding_window=0)


def test_a_subclass_replaces_the_attention(rng: np.random.Generator) -> None:
    """Both layers take what `_compute_attention` returns, and pass it all heads and one mask."""
    seen: list[Any] = []

    class Multi(layers.MultiHeadAttention):
        def _compute_attention(
            self, query: Any, key: Any, value: Any, attention_mask: Any = None, *args: Any
        ):  # type: ignore[no-untyped-def,override]
            seen.append((query.shape, key.shape, value.shape, attention_mask.shape))
            return super()._compute_attention(query, key, value, attention_mask, *args)

    class Grouped(layers.GroupQueryAttention):
        def _compute_attention(
            self, query: Any, key: Any, value: Any, attention_mask: Any = None, *args: Any
        ):  # type: ignore[no-untyped-def,override]
            seen.append((query.shape, key.shape, value.shape, attention_mask.shape))
            return super()._compute_attention(query, key, value, attention_mask, *args)

    x, v = rng.normal(size=(2, 5, 8)), rng.normal(size=(2, 3, 8))
    for own, plain in (
        (Multi(4, 6), layers.MultiHeadAttention(4, 6)),
        (Grouped(6, 4, 2), layers.GroupQueryAttention(6, 4, 2)),
    ):
        own.build(x.shape, v.shape)
        seen.clear()
        plain(x, v)
        plain.set_weights(own.get_weights())
        for scores in (False, True):
            options = {"use_causal_mask": True, "return_attention_scores": scores}
            one, other = own(x, v, **options), plain(x, v, **options)
            for a, b in zip(one if scores else [one], other if scores else [other], strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5)
        assert seen == [((2, 5, 4, 6), (2, 3, 4, 6), (2, 3, 4, 6), (1, 5, 3))] * 2


@pytest.mark.parametrize("layer", [layers.MultiHeadAttention(2, 4), layers.GroupQueryAttention(4, 2, 2)])
def test_a_causal_mask_adds_to_another(layer: Any, rng: np.random.Generator) -> None:
    layer.build((1, 5, 8), (1, 5, 8))
    q, k, v = rng.normal(size=(3, 1, 5, 2, 4)).astype("float32")
    extra = np.ones((1, 5, 5), bool)
    extra[:, 3, 1] = False
    both = layer._compute_attention(q, k, v, extra, use_causal_mask=True)[0]
    merged = layer._compute_attention(q, k, v, extra & np.tril(np.ones((5, 5), bool)))[0]
    np.testing.assert_allclose(both, merged, atol=1e-6)
    assert not np.allclose(both, layer._compute_attention(q, k, v, extra)[0], atol=1e-3)


def test_the_output_s_shape_depends_on_arguments_alone(rng: np.random.Generator) -> None:
    class Own(layers.MultiHeadAttention):
        def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Any:
            return super().compute_output_shape(query_shape, query_shape, None)

    x, v = rng.normal(size=(2, 5, 8)).astype("float32"), rng.normal(size=(2, 3, 6)).astype("float32")
    query, value = hornbeam.Input((5, 8)), hornbeam.Input((3, 6))
    model = hornbeam.Model([query, value], Own(2, 4)(query, value))
    assert model([x, v]).shape == (2, 5, 8)
    layer = layers.MultiHeadAttention(2, 4, output_shape=(3, 2))
    assert layer.compute_output_shape((None, 5, 8), (None, 3, 6)) == (None, 5, 3, 2)
    assert not layer.built
    with pytest.raises(ShapeError, match="value and key differ in their last size at most"):
        layer.compute_output_shape((None, 5, 8), (None, 3, 6), (None, 4, 6))
