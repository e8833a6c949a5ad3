"""Mistakes in building models that used to pass in silence, or ended in an error about something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
SEQUENCES = np.zeros((8, 5, 4), "float32")


class WithoutReturn(layers.Layer):
    def call(self, inputs: Any) -> Any:
        inputs * 2


class ModelWithoutReturn(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs: Any) -> Any:
        self.dense(inputs)


def fit_without_input(*stack: layers.Layer) -> None:
    model = hb.Sequential(list(stack))
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)


RECURRENT = "If the layer before it is recurrent, write return_sequences=True there"

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "layers as arguments of Sequential": (
        lambda: hb.Sequential(layers.Dense(3), layers.Dense(2)),  # type: ignore[arg-type]
        "Sequential takes its layers as one list, got a Dense as argument 2: write Sequential([...])",
    ),
    "an input and layers as arguments of Sequential": (
        lambda: hb.Sequential(hb.Input((4,)), layers.Dense(3), layers.Dense(2)),  # type: ignore[arg-type, call-arg]
        "Sequential takes its layers as one list, got a Dense as argument 2",
    ),
    "many layers as arguments of Sequential": (
        lambda: hb.Sequential(*(layers.Dense(3) for _ in range(6))),  # type: ignore[arg-type]
        "Sequential takes its layers as one list",
    ),
    "functions as arguments of Sequential": (
        lambda: hb.Sequential(layers.Dense(3), hb.ops.relu),  # type: ignore[arg-type]
        "Sequential takes its layers as one list, got a function as argument 2",
    ),
    "a generator of layers": (
        lambda: hb.Sequential(layers.Dense(3) for _ in range(2)),  # type: ignore[arg-type]
        "write Sequential(list(layers))",
    ),
    "layers as arguments of Model": (
        lambda: hb.Model(layers.Dense(3), layers.Dense(2)),
        "got Dense. For layers one after the other write Sequential([...])",
    ),
    "a list of layers for Model": (
        lambda: hb.Model([layers.Dense(3), layers.Dense(2)]),
        "For layers one after the other write Sequential([...])",
    ),
    "a call without return, in a layer": (
        lambda: hb.Sequential([hb.Input((4,)), WithoutReturn(), layers.Dense(1)]),
        "WithoutReturn.call() returned None: is a `return` missing",
    ),
    "a call without return, in a model on data": (
        lambda: ModelWithoutReturn()(X),
        "ModelWithoutReturn.call() returned None: is a `return` missing",
    ),
    "a call without return, in fit": (
        lambda: fit_without_input(WithoutReturn(), layers.Dense(1)),
        "WithoutReturn.call() returned None",
    ),
    "LSTM on LSTM": (
        lambda: hb.Sequential([hb.Input((5, 4)), layers.LSTM(8), layers.LSTM(8)]),
        f"expects an input of rank 3 (batch, steps, channels), got shape (None, 8). {RECURRENT}",
    ),
    "GRU on bidirectional GRU": (
        lambda: hb.Sequential([hb.Input((5, 4)), layers.Bidirectional(layers.GRU(8)), layers.GRU(8)]),
        f"got shape (None, 16). {RECURRENT}",
    ),
    "bidirectional on LSTM": (
        lambda: hb.Sequential([hb.Input((5, 4)), layers.LSTM(8), layers.Bidirectional(layers.LSTM(8))]),
        RECURRENT,
    ),
    "RNN on RNN": (
        lambda: hb.Sequential(
            [hb.Input((5, 4)), layers.RNN(layers.GRUCell(2)), layers.RNN(layers.GRUCell(2))]
        ),
        RECURRENT,
    ),
    "LSTM on rows, in fit": (
        lambda: fit_without_input(layers.LSTM(8), layers.Dense(1)),
        "for one feature per step add an axis to the data with x[..., None]",
    ),
    "one row without a batch axis": (
        lambda: hb.Sequential([layers.Dense(3)]).predict(X[0], verbose=0),
        "expects an input of rank 2 at least, got shape (None,). One axis is missing",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_mistake_is_named(name: str) -> None:
    make, text = MISTAKES[name]
    with pytest.raises((TypeError, ValueError), match=re.escape(text)):
        make()


def test_the_signature_of_sequential_is_that_of_keras() -> None:
    frozen = hb.Sequential([layers.Dense(3)], False, "frozen")
    assert not frozen.trainable
    assert frozen.name == "frozen"
    assert len(hb.Sequential(layers.Dense(3)).layers) == 1
    assert hb.Sequential((layers.Dense(3), layers.Dense(2)), True).trainable


def test_a_subclass_of_sequential_has_its_own_signature() -> None:
    class Pair(hb.Sequential):
        def __init__(self, first: layers.Layer, second: layers.Layer) -> None:
            super().__init__([first, second])

    assert len(Pair(layers.Dense(3), layers.Dense(2)).layers) == 2


def test_a_layer_that_only_adds_a_loss_may_return_nothing() -> None:
    class Penalty(layers.Layer):
        def call(self, inputs: Any) -> None:
            self.add_loss(hb.ops.mean(inputs))

    assert Penalty()(X) is None


def test_stacked_recurrent_layers_are_built() -> None:
    stack = [layers.LSTM(8, return_sequences=True), layers.Bidirectional(layers.LSTM(8)), layers.Dense(1)]
    assert compiled_model((5, 4), stack, "sgd", "mse").predict(SEQUENCES, verbose=0).shape == (8, 1)
