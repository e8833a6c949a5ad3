"""Inputs in use that are unlike those of the training: said once, wherever the model is used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal.input_statistics import InputStatistics, from_config, to_config
from hornbeam.errors import LikelyMistakeWarning

_RNG = np.random.default_rng(0)
# Bright squares on black, from 0 to 1.
_X = np.zeros((96, 12, 12), np.float32)
_X[:, 3:9, 3:9] = _RNG.uniform(size=(96, 6, 6))
_X[:, 5, 5] = 1
_Y = np.arange(96) % 3


def _model(shape: tuple[int, ...] = (12, 12)) -> hb.Model:
    model = hb.Sequential([hb.Input(shape), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture
def trained() -> hb.Model:
    model = _model()
    model.fit(_X, _Y, verbose=0)
    return model


# Inputs, and what is said of them after a training on _X.
DIFFERENT: dict[str, tuple[np.ndarray, str]] = {
    "pixels": (_X * 255, "divide them by 255"),
    "bytes": ((_X * 255).astype(np.uint8), "divide them by 255"),
    "one of them": (_X[:1] * 255, "divide them by 255"),
    "larger by far": (_X * 4000, "scale them alike"),
    "scaled twice": (_X / 255, "only once"),
    "ink on paper": (1 - _X, "invert them"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_evaluate_and_predict_say_it_once(trained: hb.Model, name: str) -> None:
    x, text = DIFFERENT[name]
    with pytest.warns(LikelyMistakeWarning, match=text):
        trained.predict(x, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.predict(x[:5], verbose=0)
        trained.evaluate(x, _Y[: len(x)], verbose=0)
    trained.fit(_X, _Y, verbose=0)
    with pytest.warns(LikelyMistakeWarning, match=text):
        trained.evaluate(x, _Y[: len(x)], verbose=0)


def test_validation_data() -> None:
    with pytest.warns(LikelyMistakeWarning, match="validation_data got values up to 25"):
        _model().fit(_X, _Y, validation_data=(_X * 255, _Y), verbose=0)


def test_streams(trained: hb.Model) -> None:
    data = hb.data.Dataset.from_tensor_slices((_X * 255, _Y)).batch(32)
    with pytest.warns(LikelyMistakeWarning, match="divide them by 255"):
        trained.predict(data, verbose=0)


def test_names_the_input() -> None:
    a, b = hb.Input((4,), name="a"), hb.Input((4,), name="b")
    model = hb.Model([a, b], layers.Dense(1)(layers.Add()([a, b])))
    model.compile("sgd", "mse")
    x = _RNG.uniform(size=(2, 50, 4))
    model.fit({"a": x[0], "b": x[1]}, np.zeros(50), verbose=0)
    with pytest.warns(LikelyMistakeWarning, match="for input 'b' values up to"):
        model.predict({"a": x[0], "b": 500 * x[1]}, verbose=0)


# Inputs that are right after a training on _X.
ALIKE: dict[str, np.ndarray] = {
    "the same": _X,
    "nothing drawn": np.zeros((1, 12, 12), np.float32),
    "one pixel": np.eye(144, dtype=np.float32).reshape(-1, 12, 12)[:1],
    "faint": _X / 10,
    "noise": _RNG.normal(size=(64, 12, 12)),
    "one bright image among dark ones": np.concatenate([_X[:20], 1 - _X[:1]]),
}


@pytest.mark.parametrize("name", ALIKE)
def test_says_nothing_of_others(trained: hb.Model, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.predict(ALIKE[name], verbose=0)


def test_tokens_have_no_scale() -> None:
    model = hb.Sequential([hb.Input((6,)), layers.Embedding(9000, 2), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(_RNG.integers(0, 9000, (64, 6)), np.zeros(64), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(np.array([[1, 2, 3, 0, 0, 0]]), verbose=0)


@pytest.mark.parametrize("suffix", [".keras", ".hornbeam"])
def test_is_part_of_the_file(trained: hb.Model, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    predict: Callable[[np.ndarray], object]
    if suffix == ".keras":
        trained.save(path)
        predict = hb.models.load_model(path).predict
    else:
        trained.export(path, format="hornbeam", verbose=False)
        frozen = hb.runtime.FrozenModel(path)
        name = frozen.signatures["predict"].inputs[0].name
        predict = lambda x: frozen.run({name: x})  # noqa: E731
    with pytest.warns(LikelyMistakeWarning, match="divide them by 255"):
        predict(_X[:2] * 255)


def test_a_copy_without_weights_knows_nothing(trained: hb.Model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hb.models.clone_model(trained).predict(_X * 255, verbose=0)


@pytest.mark.parametrize(("scale", "shift", "text"), [(1, 0, "1 - x"), (255, 0, "255 - x"), (2, -1, "-x")])
def test_says_how_to_invert(scale: float, shift: float, text: str) -> None:
    trained, used = (InputStatistics.of(scale * x + shift) for x in (_X, 1 - _X))
    assert trained is not None
    assert used is not None
    assert f"invert them ({text})" in str(trained.difference(used))


def test_what_is_no_statistics_in_a_file_is_left_out() -> None:
    good = InputStatistics.of(_X)
    assert good is not None
    config = to_config({"x": good})
    assert from_config(config) == {"x": good}
    wrong = [
        ("low", "0"), ("low", 10**400), ("high", float("nan")), ("high", float("inf")), ("magnitude", 0),
        ("integers", 1), ("border", []),
    ]  # fmt: skip
    for field, value in wrong:
        assert from_config({"x": {**config["x"], field: value}}) == {}
    assert from_config([1]) == from_config({"x": 1}) == from_config({"x": {"low": 0.0}}) == {}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 30), scale=st.floats(1e-3, 1e3), shift=st.floats(-3, 3), rows=st.integers(1, 40)
)
def test_samples_of_one_distribution_are_alike(seed: int, scale: float, shift: float, rows: int) -> None:
    rng = np.random.default_rng(seed)
    train, use = (scale * (rng.normal(size=(n, 10)) + shift) for n in (200, rows))
    trained, used = InputStatistics.of(train), InputStatistics.of(use)
    far = InputStatistics.of(use * 1000)
    assert trained is not None
    assert used is not None
    assert far is not None
    assert trained.difference(used) is None
    assert "the training data went up to" in str(trained.difference(far))
