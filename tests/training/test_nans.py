"""Values that are not finite are located: layer, operation and samples, in the forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


class Broken(layers.Layer):
    """A layer that is right until its input says otherwise."""

    def __init__(self, fn: Callable[[Any], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fn = fn

    def call(self, x: Any) -> Any:
        return self.fn(x)


def build_model(*hidden: layers.Layer) -> hb.Model:
    return compiled_model(
        (4,),
        [layers.Dense(4, name="before"), *hidden, layers.Dense(1, name="after")],
        hb.optimizers.SGD(0.01),
        "mse",
    )


def located(model: hb.Model, x: Any = X, y: Any = Y, **settings: Any) -> str:
    with pytest.raises(FloatingPointError) as caught:
        model.fit(x, y, verbose=0, shuffle=False, batch_size=16, epochs=3, debug_nans=True, **settings)
    return str(caught.value)


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_in_any_layer(name: str) -> None:
    hidden = [
        Broken((lambda x: ops.log(x * 0.0)) if n == name else ops.negative, name=n)
        for n in ("first", "second", "third")
    ]
    message = located(build_model(*hidden))
    assert f"/{name}," in message or f"in {name}," in message
    assert "'log' gave infinity for every sample" in message
    assert "add a small number" in message


def test_in_a_derivative() -> None:
    # The square root is finite at 0, its gradient is not.
    message = located(build_model(Broken(lambda x: ops.sqrt(x * 0.0), name="root")))
    assert "in the derivative of" in message
    assert "root" in message


def test_the_samples_are_named() -> None:
    x = X.copy()
    x[37] = 200.0

    def explode(x: Any) -> Any:
        return ops.exp(ops.cast(ops.max(ops.abs(x), axis=-1, keepdims=True) > 60, "float32") * 100.0) * x

    message = located(build_model(Broken(explode, name="loud")), x)
    assert "sample 5 of the batch (rows 37 of the data)" in message
    assert "'exp' gave infinity" in message
    assert "loud" in message


def test_in_the_data() -> None:
    def batches() -> Iterator[Any]:
        for start in range(0, 64, 16):
            x = X[start : start + 16].copy()
            if start == 32:
                x[3, 1] = np.nan
            yield x, Y[start : start + 16]

    with pytest.raises(FloatingPointError, match=r"array 1 of the data was not .* for sample 3 of the batch"):
        build_model().fit(batches(), verbose=0, debug_nans=True)


def test_in_a_weight() -> None:
    model = build_model()
    kernel = model.layers[0].kernel
    kernel.assign(np.full(kernel.shape, np.nan, "float32"))
    assert "the weight" in located(model)
    assert "before/kernel" in located(model)


def test_healthy_runs_stay_as_they_are() -> None:
    ends = []
    for settings in ({}, {"debug_nans": True}):
        hb.utils.set_random_seed(1)
        model = build_model(layers.Dropout(0.2), layers.BatchNormalization())
        history = model.fit(X, Y, epochs=2, verbose=0, **settings)
        ends.append((model.get_weights(), history.history))
    for one, other in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert ends[0][1] == ends[1][1]


def test_infinities_that_lead_to_nothing_bad_are_no_fault() -> None:
    model = build_model(Broken(lambda x: x + ops.exp(ops.log(ops.stop_gradient(x) * 0.0)), name="masked"))
    model.fit(X, Y, verbose=0, debug_nans=True)


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="debug_nans must be"):
        build_model().fit(X, Y, debug_nans="yes")
    model = build_model()
    model.run_eagerly = True
    with pytest.raises(ValueError, match="run_eagerly"):
        model.fit(X, Y, debug_nans=True)
