"""Curves that grow: outside of a notebook, text when training ends."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers

X, Y = np.ones((64, 3), np.float32), np.zeros((64, 1), np.float32)


def model() -> hb.Model:
    model = hb.Sequential([hb.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def test_text_when_training_ends(capsys: pytest.CaptureFixture[str]) -> None:
    history = model().fit(X, Y, epochs=3, validation_data=(X, Y), verbose=0, plot=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line] == [
        "loss", "training", "validation", "best:", "mae", "training", "validation", "best:",
    ]  # fmt: skip
    assert f"... {history.history['loss'][-1]:.4g}" in lines[1]
    assert history.drawn_in_cell is None


def test_it_is_added_once(capsys: pytest.CaptureFixture[str]) -> None:
    plot = hb.callbacks.LivePlot()
    model().fit(X, Y, epochs=2, verbose=0, plot=True, callbacks=[plot])
    assert capsys.readouterr().out.count("mae") == 2
    complete = hb.callbacks.CallbackList([], add_history=True, model=model())
    with pytest.raises(ValueError, match="put a LivePlot"):
        model().fit(X, Y, verbose=0, plot=True, callbacks=complete)


def test_steps_stay_in_one_call_of_the_engine() -> None:
    """The callback asks for chunks: it makes no step slower."""
    assert hb.callbacks.CallbackList([hb.callbacks.LivePlot()]).wants_batches("train") is False


def test_nothing_is_drawn_without_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(X, Y, epochs=0, verbose=0, plot=True)
    assert capsys.readouterr().out == ""
