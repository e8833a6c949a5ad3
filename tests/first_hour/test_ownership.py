"""Weights that a `call` creates or uses without owning them: an error or a warning, not a lost net."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.layers import ownership
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
LABELS = np.arange(64) % 3


class Calls(hb.Model):
    """A model whose `call` is the function that it is given."""

    def __init__(self, fn: Callable[[Any, Any], Any], **parts: Any) -> None:
        super().__init__(name="calls")
        self.output_layer = layers.Dense(3, "softmax")
        for name, part in parts.items():
            setattr(self, name, part)
        self.fn = fn

    def call(self, x: Any) -> Any:
        return self.output_layer(self.fn(self, x))


class CallsInside(layers.Layer):
    def __init__(self, fn: Callable[[Any], Any]) -> None:
        super().__init__(name="inside")
        self.fn = fn

    def call(self, x: Any) -> Any:
        return self.fn(x)


def train(model: hb.Model) -> hb.Model:
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    return model


NEW_LAYER = "its call() creates the layer 'dense"

CREATED: dict[str, tuple[Callable[[], Any], str]] = {
    "in fit": (lambda: train(Calls(lambda self, x: layers.Dense(8)(x))), NEW_LAYER),
    "in model(x)": (lambda: Calls(lambda self, x: layers.Dense(8)(x))(X), NEW_LAYER),
    "in predict": (lambda: Calls(lambda self, x: layers.Dense(8)(x)).predict(X, verbose=0), NEW_LAYER),
    "on symbolic tensors": (lambda: CallsInside(lambda x: layers.Dense(8)(x))(hb.Input((4,))), NEW_LAYER),
    "inside of a layer of the model": (
        lambda: train(Calls(lambda self, x: self.part(x), part=CallsInside(lambda x: layers.Dense(2)(x)))),
        "layer 'calls/inside' (CallsInside): its call() creates the layer 'dense",
    ),
    "in a Lambda": (
        lambda: train(compiled_model((4,), [layers.Lambda(lambda x: layers.Dense(3, "softmax")(x))])),
        "(Lambda): its call() creates the layer 'dense",
    ),
    "an LSTM in both directions": (
        lambda: Calls(lambda self, x: layers.Bidirectional(layers.LSTM(2))(x[..., None]))(X),
        "creates the layer 'bidirectional' (Bidirectional)",
    ),
    "a normalization": (
        lambda: Calls(lambda self, x: layers.BatchNormalization()(x))(X),
        "creates the layer 'batch_normalization'",
    ),
    "a model": (
        lambda: Calls(lambda self, x: hb.Sequential([hb.Input((4,)), layers.Dense(2)])(x))(X),
        NEW_LAYER,
    ),
    "a variable": (
        lambda: train(Calls(lambda self, x: x * hb.Variable(np.ones(4, "float32"), name="scale"))),
        "its call() creates the variable 'scale'",
    ),
}


@pytest.mark.parametrize("name", CREATED)
def test_weights_created_in_a_call_are_refused(name: str) -> None:
    program, text = CREATED[name]
    hb.backend.clear_session()
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        program()
    assert "create it in __init__() or build()" in str(caught.value)


GLOBAL = layers.Dense(4)

UNOWNED: dict[str, Callable[[], Any]] = {
    "in a set": lambda: train(Calls(lambda self, x: next(iter(self.parts))(x), parts={layers.Dense(4)})),
    "in another object": lambda: train(
        Calls(lambda self, x: self.part.dense(x), part=SimpleNamespace(dense=layers.Dense(4)))
    ),
    "in a global": lambda: train(Calls(lambda self, x: GLOBAL(x))),
}


@pytest.mark.parametrize("name", UNOWNED)
def test_layers_that_are_not_found_are_named(name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        UNOWNED[name]()
    (warning,) = [w for w in caught if w.category is LikelyMistakeWarning]
    assert "layer 'calls' (Calls) uses layer" in str(warning.message)
    assert "assign it to an attribute of self" in str(warning.message)
    assert warning.filename == __file__


class BuildsLate(layers.Layer):
    """A layer that creates its parts in build(), with help of a layer that it does not keep."""

    def build(self, input_shape: Any) -> None:
        layers.Dense(2)(np.zeros((1, 4), "float32"))
        self.dense = layers.Dense(4)
        self.scale = hb.Variable(np.ones(4, "float32"))

    def call(self, x: Any) -> Any:
        return self.dense(x) * self.scale


class MeasuresItself(layers.Layer):
    """A layer with a metric, random numbers and a state, all created when they are first needed."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = hb.metrics.MeanSquaredError(name="size")

    def call(self, x: Any) -> Any:
        self.mean.update_state(ops.zeros_like(x), x)
        return x + 0.0 * hb.random.normal(x.shape)


class Appends(hb.Model):
    """A model that fills a list of layers in its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Any] = []
        self.output_layer = layers.Dense(3, "softmax")

    def call(self, x: Any) -> Any:
        while len(self.parts) < 2:
            self.parts.append(layers.Dense(4))
        for part in self.parts:
            x = part(x)
        return self.output_layer(x)


RIGHT: dict[str, Callable[[], Any]] = {
    "layers without weights": lambda: train(
        Calls(lambda self, x: layers.Add()([layers.ReLU()(x), layers.Dropout(0.5)(layers.Flatten()(x))]))
    ),
    "layers that are created in build": lambda: train(Calls(lambda self, x: self.a(x), a=BuildsLate())),
    "nested layers that are created in build": lambda: train(
        Calls(lambda self, x: self.a(x), a=hb.Sequential([BuildsLate(), BuildsLate()]))
    ),
    "metrics and random numbers": lambda: train(Calls(lambda self, x: self.a(x), a=MeasuresItself())),
    "layers in lists, tuples and dicts": lambda: train(
        Calls(
            lambda self, x: self.a["x"][0](self.b[0](x)),
            a={"x": (layers.Dense(4),)},
            b=[layers.Dense(4)],
        )
    ),
    "a list that the first call fills": lambda: train(Appends()),
    "frozen random features": lambda: train(
        Calls(lambda self, x: layers.Dense(8, trainable=False, kernel_initializer="ones")(x))
    ),
    "a constant": lambda: train(
        Calls(lambda self, x: x * hb.Variable(np.ones(4, "float32"), trainable=False))
    ),
    "wrappers": lambda: compiled_model(
        (5, 4),
        [layers.Bidirectional(layers.GRU(2, return_sequences=True)), layers.TimeDistributed(layers.Dense(2))],
    ).predict(np.zeros((2, 5, 4), "float32"), verbose=0),
    "a trained layer of another model": lambda: train(Calls(lambda self, x: TEACHER(x))),
}

TEACHER = layers.Dense(4)
TEACHER.build((None, 4))


@pytest.mark.parametrize("name", RIGHT)
def test_nothing_is_said_of_what_is_right(name: str) -> None:
    RIGHT[name]()


def test_layers_without_weights_cost_no_walk_through_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Add()([x, y])` in the `call` of many blocks took time in the square of their number."""

    def refuse(context: Any) -> Any:
        raise AssertionError("looked for the owner of a layer without weights")

    monkeypatch.setattr(ownership, "_owned_layers", refuse)
    model = Calls(lambda self, x: layers.Activation("relu")(layers.Add()([x, layers.Rescaling(2.0)(x)])))
    model.output_layer.build((None, 4))
    assert model(X[:2]).shape == (2, 3)


class LoopsOverItsCell(layers.Layer):
    """A layer whose `call` makes a layer around a cell that it owns: there are no new weights."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = layers.SimpleRNNCell(3)

    def build(self, input_shape: Any) -> None:
        self.cell.build((input_shape[0], input_shape[2]))

    def call(self, x: Any) -> Any:
        return layers.RNN(self.cell)(x)


def test_a_layer_around_one_that_is_owned_is_no_new_one() -> None:
    model = hb.Sequential([hb.Input((5, 4)), LoopsOverItsCell(), layers.Dense(3, "softmax")])
    before = model.get_weights()
    x = np.random.default_rng(0).normal(size=(64, 5, 4)).astype("float32")
    model.compile("sgd", "sparse_categorical_crossentropy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, LABELS, verbose=0)
    after = model.get_weights()
    assert len(after) == 5
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
