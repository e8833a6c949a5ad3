"""Spectrograms beyond the table of layers: windows, layouts, unknown lengths, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from tests.helpers.builders import compiled_model

TONE = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype("float32")


def test_a_tone_is_where_it_belongs() -> None:
    spectrum = np.asarray(layers.STFTSpectrogram("magnitude", 256)(TONE[None, :, None]))
    assert (spectrum[0].argmax(axis=-1) == 1000 / 8000 * 256).all()
    mel = layers.MelSpectrogram(512, 128, sampling_rate=8000, num_mel_bins=40, min_freq=0.0)
    loud = np.asarray(mel(TONE[None]))[0, :, 5:-5].argmax(axis=0)
    centres = np.linspace(0, 1127 * np.log(1 + 4000 / 700), 42)[1:-1]
    assert (loud == np.abs(centres - 1127 * np.log(1 + 1000 / 700)).argmin()).all()


@pytest.mark.parametrize("mode", ["log", "psd", "stft", "real"])
@pytest.mark.parametrize("expand_dims", [False, True])
def test_channels_first(mode: str, expand_dims: bool) -> None:
    x = np.random.default_rng(0).normal(size=(2, 50, 3)).astype("float32")
    last = np.asarray(layers.STFTSpectrogram(mode, 8, expand_dims=expand_dims)(x))
    first = layers.STFTSpectrogram(mode, 8, expand_dims=expand_dims, data_format="channels_first")
    actual = np.asarray(first(x.transpose(0, 2, 1)))
    expected = last.transpose(0, 3, 1, 2) if expand_dims else last.transpose(0, 2, 1)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("window", ["blackman", "bartlett"])
def test_windows_of_scipy(window: str) -> None:
    signal = pytest.importorskip("scipy.signal")
    named = layers.STFTSpectrogram("psd", 16, window=window)
    layer = layers.STFTSpectrogram("psd", 16, window=signal.get_window(window, 16, False).tolist())
    x = TONE[None, :200, None]
    np.testing.assert_allclose(np.asarray(named(x)), np.asarray(layer(x)), rtol=1e-5)


def test_lengths_may_be_unknown() -> None:
    x = hornbeam.Input((None, 2))
    assert layers.STFTSpectrogram(frame_length=200)(x).shape == (None, None, 258)
    y = layers.MelSpectrogram(num_mel_bins=20)(hornbeam.Input((None,)))
    model = hornbeam.Model(y.history.inputs[0], layers.GlobalAveragePooling1D()(layers.Permute((2, 1))(y)))
    assert model.predict(np.ones((2, 3000), "float32"), verbose=0).shape == (2, 20)


def test_kernels_are_trained() -> None:
    model = compiled_model(
        (64, 1), [layers.STFTSpectrogram(frame_length=16), layers.Flatten(), layers.Dense(1)], "sgd", "mse"
    )
    before = model.get_weights()[0]
    model.fit(np.random.default_rng(0).normal(size=(8, 64, 1)), np.ones((8, 1)), verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0


def test_half_precision() -> None:
    layer = layers.MelSpectrogram(64, 16, num_mel_bins=8, dtype="float16")
    assert layer(np.ones((1, 200), "float16")).dtype == "float16"
    assert layer(hornbeam.Input((200,), dtype="float16")).dtype == "float16"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.STFTSpectrogram("loud"), "mode must be one of"),
        (lambda: layers.STFTSpectrogram(frame_length=8, frame_step=9), "be at most frame_length=8"),
        (lambda: layers.STFTSpectrogram(frame_length=8, fft_length=4), "be at least frame_length=8"),
        (lambda: layers.STFTSpectrogram(window="no such"), "window must be"),
        (lambda: layers.STFTSpectrogram(scaling="loud"), "scaling must be"),
        (lambda: layers.STFTSpectrogram(padding="causal"), "padding must be"),
        (lambda: layers.MelSpectrogram(64, sequence_length=65), "be at least sequence_length"),
    ],
)
def test_refuses(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_refuses_signals() -> None:
    with pytest.raises(ShapeError, match="shorter than a frame of 256"):
        layers.STFTSpectrogram()(np.ones((1, 100, 1), "float32"))
    with pytest.raises(HornbeamTypeError, match="signals of floats, got int32"):
        layers.STFTSpectrogram(frame_length=8)(np.ones((1, 100, 1), "int32"))
    with pytest.raises(ShapeError, match="cannot be mirrored"):
        layers.MelSpectrogram()(np.ones((1, 1000), "float32"))
    with pytest.raises(ShapeError, match="must be 8 weights"):
        layers.STFTSpectrogram(frame_length=8, window=[1.0, 2.0])(np.ones((1, 100, 1), "float32"))
    with pytest.warns(UserWarning, match="not a power of two"):
        layers.STFTSpectrogram(frame_length=8, fft_length=12)
