"""`fit` says by itself why a loss became NaN or infinite: the layer, the weight, or a loss that grew."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.random import random_state
from hornbeam.training import loop, nan_origin
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4)).astype("float32")
Y = RNG.normal(size=(80, 1)).astype("float32")
OUTLIER = np.where(np.arange(80)[:, None] == 37, np.float32(1e30), X)


class Function(layers.Layer):
    def __init__(self, fn: Callable[[Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fn = fn

    def call(self, x: Any) -> Any:
        return self.fn(x)


class Late(layers.Layer):
    """A layer that fails after 30 steps."""

    def __init__(self) -> None:
        super().__init__(name="late")
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, x: Any) -> Any:
        self.count.assign(self.count + 1)
        return x * ops.where(self.count > 30, ops.log(-self.count), 1.0)


def net(*hidden: layers.Layer, optimizer: Any = "sgd", loss: Any = "mse") -> hb.Model:
    stack = [layers.Dense(4, "relu", name="first"), *hidden, layers.Dense(1, name="last")]
    return compiled_model((4,), stack, optimizer, loss, name="net")


def batches() -> Iterator[Any]:
    while True:
        yield X[:8], Y[:8]


def overflowing() -> hb.Model:
    return compiled_model(
        (4,), [Function(ops.square, name="square"), layers.Dense(1)], "sgd", "mse", name="net"
    )


CAUSES: dict[str, tuple[Callable[[], hb.Model], dict[str, Any], str]] = {
    "a logarithm": (
        lambda: net(Function(lambda x: ops.log(x - 100.0), name="log")), {},
        r"it begins in net/log, where 'log' gave NaN for every sample of the batch \(.*causes.py:\d+\)",
    ),
    "a division": (
        lambda: net(Function(lambda x: x / ops.zeros_like(x), name="divide")), {},
        r"net/divide, where 'div' gave .*add a small number to the divisor",
    ),
    "a derivative": (
        lambda: net(Function(lambda x: ops.sqrt(x * 0.0), name="root")), {},
        r"it begins in the derivative of net/root",
    ),
    "one sample of the data": (
        overflowing, {"x": OUTLIER, "shuffle": False},
        r"in net/square, where '\w+' gave infinity for sample 5 of the batch \(rows 37 of the data\)",
    ),
    "the loss function": (
        lambda: net(loss=lambda t, p: ops.mean(ops.log(p - 100.0), axis=-1)), {},
        "it begins in loss, where 'log' gave NaN",
    ),
    "a layer, long after the start": (
        lambda: net(Late()), {"epochs": 20},
        r"the loss is nan from epoch 11, step 1 on\..* in net/late, where 'log' gave NaN",
    ),
    "a loop over steps": (
        lambda: compiled_model(
            (5, 4), [layers.LSTM(4), Function(lambda x: ops.log(x - 9.0), name="log"), layers.Dense(1)],
            "sgd", "mse", name="net",
        ),
        {"x": np.zeros((80, 5, 4), "float32")},
        "in net/log, where 'log' gave NaN",
    ),
    "a growing loss": (
        lambda: net(optimizer=hb.optimizers.SGD(3.0)), {"epochs": 30},
        r"It diverged: the loss grew from \S+ to \S+ in the \d+ step\(s\) before this: try a tenth of the "
        r"learning rate \(now 3\), or clipnorm=1.0",
    ),
    "one update": (
        lambda: net(optimizer=hb.optimizers.SGD(1e20)), {},
        r"One update changes the weight 'net/first/kernel' by \S+: try a tenth of the learning rate \(now "
        r"1e\+20\)",
    ),
    "batches of a generator": (
        lambda: net(Function(lambda x: ops.log(x - 100.0), name="log")),
        {"x": batches(), "y": None, "steps_per_epoch": 4},
        "in net/log, where 'log' gave NaN",
    ),
    "callbacks that see every batch": (
        lambda: net(Function(lambda x: ops.log(x - 100.0), name="log")),
        {"callbacks": [hb.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]},
        "in net/log, where 'log' gave NaN",
    ),
}  # fmt: skip


def warned(model: hb.Model, **settings: Any) -> str:
    settings = {"x": X, "y": Y, "verbose": 0, **settings}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(**settings)
    (warning,) = [w for w in caught if w.category is RuntimeWarning]
    assert warning.filename == __file__
    return str(warning.message)


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_told(name: str) -> None:
    make, settings, pattern = CAUSES[name]
    hb.utils.set_random_seed(0)
    message = warned(make(), **settings)
    assert re.search(pattern, message), message


def test_a_weight_that_was_never_finite() -> None:
    model = net()
    model.layers[-1].bias.assign([np.inf])
    model.layers[-1].trainable = False
    model.compile("sgd", "mse")
    assert "the loss is" in warned(model)


def test_weights_that_were_not_finite_before() -> None:
    model = net()
    model.layers[0].kernel.assign(np.full((4, 4), np.nan))
    message = warned(model)
    assert "the weights were not finite, or too large, before fit(). Load an earlier file" in message
    assert "learning rate" not in message


def test_line_by_line_nothing_is_run_again() -> None:
    model = net(Function(lambda x: ops.log(x - 100.0)))
    model.run_eagerly = True
    assert "Without run_eagerly=True fit() finds the layer" in warned(model)


def test_random_states_and_weights_are_as_without_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for searched in (True, False):
        if not searched:
            monkeypatch.setattr(loop, "explain_loss", lambda *args: "")
        hb.utils.set_random_seed(1)
        model = net(layers.Dropout(0.5), Late())
        warned(model, epochs=20)
        ends.append((random_state(), model.layers[2].count.numpy()))
    assert str(ends[0]) == str(ends[1])


def test_healthy_training_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> str:
        raise AssertionError("the search costs time")

    monkeypatch.setattr(loop, "explain_loss", refuse)
    net().fit(X, Y, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("losses", "text"),
    [
        ([2.0, 1.0, 20.0, 500.0, np.nan], "grew from 1 to 500 in the 2 step(s)"),
        ([2.0, 1.9, np.nan], None),
        ([np.nan], None),
        ([2.0, np.inf], None),
    ],
)
def test_growth(losses: list[float], text: str | None) -> None:
    sentence = nan_origin.describe_growth(np.array(losses))
    assert (sentence is None) if text is None else (sentence is not None and text in sentence)
