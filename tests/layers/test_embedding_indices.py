"""Indices that an Embedding has no vector for: an error where the host knows them, else NaN."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops

_GOOD = np.array([[1, 2, 3], [4, 5, 9]])
_BAD = [np.array([[1, 2, 10]]), np.array([[1, -1, 2]]), np.array([[1, 2, 2**31 - 1]])]


def _sequential() -> hb.Model:
    return hb.Sequential([hb.Input((3,), dtype="int32"), layers.Embedding(10, 4), layers.Flatten(),
                          layers.Dense(1)])  # fmt: skip


def _nested() -> hb.Model:
    inputs = hb.Input((3,), dtype="int32")
    inner = hb.Sequential([layers.Embedding(10, 4), layers.Flatten()])
    return hb.Model(inputs, layers.Dense(1)(inner(inputs)))


class _Subclass(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = layers.Embedding(10, 4)
        self.dense = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(ops.reshape(self.embedding(x), (-1, 12)))


MODELS: dict[str, Callable[[], hb.Model]] = {
    "sequential": _sequential,
    "nested": _nested,
    "subclass": _Subclass,
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> hb.Model:
    built = MODELS[request.param]()
    built.compile("sgd", "mse")
    built.fit(_GOOD, np.zeros(2), verbose=0)
    return built


@pytest.mark.parametrize("x", _BAD, ids=["10", "-1", "2^31-1"])
def test_every_method_refuses_them(model: hb.Model, x: np.ndarray) -> None:
    weights = model.get_weights()
    stream = hb.data.Dataset.from_tensor_slices((np.repeat(_GOOD, 4, 0), np.zeros(8))).batch(1)
    late = stream.concatenate(hb.data.Dataset.from_tensor_slices((x, np.zeros(1))).batch(1))
    for use in (
        lambda: model.predict(x, verbose=0),
        lambda: model.predict(late, verbose=0),
        lambda: model.evaluate(x, np.zeros(1), verbose=0),
        lambda: model.fit(x, np.zeros(1), verbose=0),
        lambda: model.test_on_batch(x, np.zeros(1)),
        lambda: model.train_on_batch(x, np.zeros(1)),
    ):
        with pytest.raises(ValueError, match="the layer has vectors for 0 to 9"):
            use()
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(ValueError, match=re.escape("the layer has vectors for 0 to 9")):
        model.fit(late.map(lambda x, y: (x, y)), verbose=0)


def test_a_direct_call_refuses_them() -> None:
    layer = layers.Embedding(10, 4)
    for x in _BAD:
        with pytest.raises(ValueError, match="has vectors for 0 to 9"):
            layer(x)
    with pytest.raises(ValueError, match=re.escape("contains 1.5")):
        layer(np.array([1.5]))


def test_a_direct_call_of_a_model_gives_no_number(model: hb.Model) -> None:
    try:
        assert np.isnan(np.asarray(model(_BAD[0]))).all()
    except ValueError as error:
        assert "has vectors for 0 to 9" in str(error)  # noqa: PT017


@pytest.mark.parametrize("quantized", [None, "int8", "int4"])
def test_computed_ones_give_nan(quantized: str | None) -> None:
    inputs = hb.Input((3,), dtype="int32")
    model = hb.Model(inputs, layers.Embedding(10, 4)(inputs + 1))
    if quantized is not None:
        model.quantize(quantized)
    y = model.predict(np.array([[0, 8, 9], [-1, -2, 3]]), verbose=0)
    np.testing.assert_array_equal(np.isnan(y).all(-1), [[False, False, True], [False, True, False]])
    np.testing.assert_array_equal(np.isnan(y).any(-1), np.isnan(y).all(-1))


def test_a_frozen_model(model: hb.Model, tmp_path: Path) -> None:
    """Python checks the indices; other programs, here as if the file did not tell, get NaN."""
    path = tmp_path / "m.hornbeam"
    signature = [hb.layers.InputSpec("int32", (None, 3))] if isinstance(model, _Subclass) else None
    model.export(path, "hornbeam", input_signature=signature, verbose=False)
    frozen = hb.runtime.FrozenModel(path)
    name = frozen.signatures["predict"].inputs[0].name
    for x in _BAD:
        with pytest.raises(ValueError, match=f"input '{name}' contains the index .* has vectors for 0 to 9"):
            frozen.run({name: x})
    frozen.metadata.clear()
    (y,) = frozen.run({name: np.concatenate([_GOOD, *_BAD])}).values()
    np.testing.assert_array_equal(np.isnan(y[:, 0]), [False, False, True, True, True])
    np.testing.assert_array_equal(y[:2], model.predict(_GOOD, verbose=0))
