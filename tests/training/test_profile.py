"""`model.profile()` and `fit(profile=...)`: what is counted, for whom, and that nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.core.jit import trace_function
from hornbeam.engines import current_engine, get_engine, set_engine
from hornbeam.random import set_random_seed
from hornbeam.training.profile import ELSEWHERE, Profile

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 8, 8, 3)).astype("float32")
Y = RNG.integers(0, 3, 40)


def convnet() -> hb.Model:
    set_random_seed(0)
    model = hb.Sequential(
        [
            hb.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.Activation("relu", name="act"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(3, activation="softmax", name="head"),
        ],
        name="net",
    )
    optimizer = hb.optimizers.Adam(name="adam")  # the default name depends on other tests
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trained() -> Profile:
    return convnet().profile(X, Y, batch_size=20, steps=4)


def test_layers_are_those_of_the_model(trained: Profile) -> None:
    names = {layer.name for layer in trained.layers}
    assert {"net/conv", "net/head", "adam", "loss"} <= names
    by_name = {layer.name: layer for layer in trained.layers}
    for name in ("net/conv", "net/head"):
        assert by_name[name].forward > 0
        assert by_name[name].backward > 0
    assert by_name["adam"].backward == 0
    assert by_name.get(ELSEWHERE) is None or by_name[ELSEWHERE].seconds < trained.kernel_seconds / 2


def test_a_convolution_with_its_relu_is_the_convolutions(trained: Profile) -> None:
    kernel = next(k for k in trained.kernels if k.name == "conv")
    assert "+relu" in kernel.label
    assert kernel.layers == {("net/conv", False): 1.0}
    # 20 images, 6x6 places, 3x3 windows of 3 channels, 4 filters, a multiply and an addition each
    assert kernel.flops == 2 * 20 * 36 * 27 * 4
    assert kernel.runs == 1
    assert kernel.nbytes == 4 * (X[:20].size + 9 * 3 * 4 + 20 * 36 * 4 + 4)


def test_sums_agree(trained: Profile) -> None:
    assert sum(layer.seconds for layer in trained.layers) == pytest.approx(trained.kernel_seconds)
    assert sum(layer.flops for layer in trained.layers) == pytest.approx(trained.flops)
    assert 0 < trained.kernel_seconds <= trained.seconds
    seconds = [kernel.seconds for kernel in trained.kernels]
    assert seconds == sorted(seconds, reverse=True)


def test_peak_fractions_are_fractions_of_time(trained: Profile) -> None:
    machine = trained.machine
    assert machine is not None
    heavy = trained.kernels[0]
    assert heavy.peak_fraction is not None
    arithmetic = heavy.flops / machine["float32"]
    assert heavy.peak_fraction * heavy.seconds >= 0.999 * arithmetic > 0


def test_the_table_names_layers_and_kernels(trained: Profile) -> None:
    text = trained.table()
    for word in ("conv", "head", "adam", "conv_backward", "fused", "[", "GFLOP/s", "of 4 steps"):
        assert word in text
    assert "hidden" not in text
    assert len(trained.table(rows=2).splitlines()) < len(text.splitlines())


def test_weights_and_optimizer_stay() -> None:
    model = convnet()
    model.fit(X, Y, verbose=0)
    before = [np.array(v) for v in [*model.variables, *model.optimizer.variables]]
    model.profile(X, Y, steps=2)
    after = [np.array(v) for v in [*model.variables, *model.optimizer.variables]]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_prediction_needs_no_targets_and_has_no_backward() -> None:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(5, name="d")])
    profile = model.profile(np.ones((10, 4), "float32"), batch_size=5, steps=3)
    assert [layer.name.split("/")[-1] for layer in profile.layers] == ["d"]
    assert profile.layers[0].backward == 0
    assert profile.flops == 2 * 5 * 4 * 5


def test_bodies_of_loops_are_counted() -> None:
    words, state, batch, length = 3, 16, 8, 7
    model = hb.Sequential([hb.Input((length, words)), layers.SimpleRNN(state, name="rnn")])
    profile = model.profile(np.ones((batch, length, words), "float32"), batch_size=batch, steps=2)
    products = [kernel for kernel in profile.kernels if kernel.name == "dot_general"]
    inner = sum(kernel.flops for kernel in products)
    assert inner == 2 * batch * length * state * (words + state)
    assert max(kernel.runs for kernel in products) == length
    assert {name for kernel in products for name, _ in kernel.layers} == {f"{model.name}/rnn"}


def test_the_trace_is_of_complete_events(trained: Profile, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    trained.to_chrome_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert len(spans) == sum(round(kernel.runs * trained.steps) for kernel in trained.kernels)
    last = -1.0
    for event in spans:
        assert event["dur"] >= 0
        assert event["ts"] >= last  # no loops here, so one after the other
        last = event["ts"] + event["dur"]
        assert event["args"]["what"].startswith(event["name"])
    assert sum(event["dur"] for event in spans) * 1e-6 == pytest.approx(
        trained.kernel_seconds * trained.steps, rel=1e-6
    )


def test_fit_profiles_and_trains_as_without(tmp_path: Path, capsys: Any) -> None:
    plain, watched, traced = convnet(), convnet(), convnet()
    for model in (plain, watched, traced):
        model.set_weights(plain.get_weights())
    settings: dict[str, Any] = {"batch_size": 16, "epochs": 2, "verbose": 0, "shuffle": False}
    set_random_seed(5)
    history = plain.fit(X, Y, **settings)
    assert not hasattr(history, "profile")
    set_random_seed(5)
    history = watched.fit(X, Y, profile=True, **settings)
    printed = capsys.readouterr().out
    assert "per layer" in printed
    assert "per kernel" in printed
    assert history.profile.steps == 6
    set_random_seed(5)
    traced.fit(X, Y, profile=tmp_path / "trace.json", **settings)
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert capsys.readouterr().out == ""
    for one, two, three in zip(plain.get_weights(), watched.get_weights(), traced.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_what_was_compiled_before_keeps_no_profile() -> None:
    model = convnet()
    model.fit(X, Y, verbose=0)
    before = dict(model._hb_trainer.steps)
    model.profile(X, Y, steps=1)
    assert dict(model._hb_trainer.steps) == before
    assert current_engine()._profiled is None


def test_mistakes() -> None:
    model = convnet()
    with pytest.raises(ValueError, match="arrays in memory"):
        model.profile(x for x in [(X, Y)])
    with pytest.raises(ValueError, match="steps"):
        model.profile(X, Y, steps=0)
    with pytest.raises(ValueError, match="not compiled"):
        hb.Sequential([hb.Input((4,)), layers.Dense(1)]).profile(np.ones((4, 4)), np.ones((4, 1)))
    with pytest.raises(FileNotFoundError):
        model.fit(X, Y, verbose=0, profile="no/such/folder/trace.json")
    model.fit(X, Y, verbose=0)


def test_the_reference_says_that_it_keeps_none() -> None:
    before = current_engine().name
    set_engine("reference")
    try:
        with pytest.raises(NotImplementedError, match="has no profiles"):
            convnet().profile(X[:8], Y[:8], steps=1)
    finally:
        set_engine(before)


def test_names_do_not_change_what_is_compiled() -> None:
    """Equal graphs with other names of layers are one executable."""
    engine = get_engine("native")
    x = np.ones((3, 11), "float32")
    shapes = [layers.Dense(13, name=name, kernel_initializer="ones") for name in ("one", "other")]
    graphs = []
    for layer in shapes:
        layer.build((3, 11))
        traced = trace_function(layer, [x])
        graphs.append(traced.graph)
    assert graphs[0].fingerprint == graphs[1].fingerprint
    assert engine.executable(graphs[0]) is engine.executable(graphs[1])
