"""The range test suggests rates that work, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, optimizers
from tests.helpers.doctor_healthy import Gan
from tests.helpers.doctor_parts import X, Y, blobs, compiled, net, sgd

Optimizers = dict[str, Callable[[float], Any]]
OPTIMIZERS: Optimizers = {
    "sgd": sgd,
    "momentum": lambda rate: sgd(rate, momentum=0.9),
    "adam": optimizers.Adam,
    "rmsprop": optimizers.RMSprop,
    "adagrad": optimizers.Adagrad,
    "lion": optimizers.Lion,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_suggests_a_rate_that_works(name: str) -> None:
    """A hundredth of it is far too small, and a hundred times of it far too large."""
    hb.random.set_random_seed(0)
    x, y = blobs(1024)
    model = net(optimizer=OPTIMIZERS[name](0.001))
    curve = hb.lr_find(model, x, y, verbose=0)
    assert curve.suggestion is not None
    start, ends = model.get_weights(), {}
    for factor in (0.01, 1.0, 100.0):
        model.set_weights(start)
        model.compile(OPTIMIZERS[name](curve.suggestion * factor), "sparse_categorical_crossentropy")
        with np.errstate(all="ignore"):
            history = model.fit(x, y, epochs=3, verbose=0, callbacks=[hb.callbacks.TerminateOnNaN()])
        ends[factor] = history.history["loss"][-1]
    assert ends[1.0] < 0.3
    assert ends[0.01] > 4 * ends[1.0]
    assert not ends[100.0] < 0.6


@pytest.fixture(autouse=True)
def quiet(recwarn: pytest.WarningsRecorder) -> None:
    """fit() warns of a loss of NaN, which some of these cause."""


def test_the_limit_of_a_parabola() -> None:
    """Gradient descent on mean squared error diverges beyond 2 / L, L the largest curvature: 2 max eigenvalue
    of x'x / n."""
    x = np.random.default_rng(0).normal(size=(512, 3)).astype("float32") * np.array([1, 2, 3], "float32")
    limit = 2 / (2 * np.linalg.eigvalsh(x.T @ x / len(x)).max())
    model = compiled([hb.Input((3,)), layers.Dense(1, use_bias=False)], sgd(1.0), "mse", ())
    curve = hb.lr_find(model, x, x.sum(axis=1), batch_size=512, min_rate=1e-5, max_rate=10, verbose=0)
    assert curve.suggestion is not None
    assert limit / 10 < curve.suggestion < limit
    assert curve.rates[-1] < 5.0, "it stops where the loss has run away"


def with_everything(rate: Any = 0.01) -> hb.Model:
    stack = [
        hb.Input((8,)), layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3),
        layers.Dense(4, "softmax"),
    ]  # fmt: skip
    return compiled(stack, optimizers.Adam(rate))


def state(model: hb.Model) -> list[np.ndarray]:
    chance = hb.random.random_state()
    seeds = [g.state for layer in model.layers for g in layer._seed_generators()]
    variables = [*model.weights, *model.optimizer.variables, *model.metrics_variables, *seeds]
    return [np.array(v) for v in variables] + [
        chance["hornbeam"], chance["numpy"]["state"]["key"], chance["python"]["words"],
    ]  # fmt: skip


def dataset() -> hb.data.Dataset:
    return hb.data.Dataset.from_tensor_slices((X, Y)).shuffle(128, seed=1).batch(32)


def mapped() -> hb.data.Dataset:
    return (
        hb.data.Dataset.from_tensor_slices((X, Y))
        .map(lambda x, y: (x + 0.0, y))
        .shuffle(128, seed=1)
        .batch(32)
    )


@pytest.mark.parametrize("data", [lambda: (X, Y), lambda: (dataset(),), lambda: (mapped(),)])
@pytest.mark.parametrize("schedule", [False, True])
def test_leaves_no_trace(data: Callable[[], tuple], schedule: bool) -> None:
    """Everything is bit for bit what it was, and a training goes on as if there had been no test."""
    ends = []
    for tested in (False, True):
        hb.random.set_random_seed(0)
        rate: Any = optimizers.schedules.CosineDecay(0.01, 100) if schedule else 0.01
        model, inputs = with_everything(rate), data()
        model.fit(*inputs, epochs=1, verbose=0)
        before = state(model)
        if tested:
            curve = hb.lr_find(model, *inputs, verbose=0, steps=40)
            assert curve.losses.std() > 0
            for left, right in zip(before, state(model), strict=True):
                np.testing.assert_array_equal(left, right)
        model.fit(*inputs, epochs=2, verbose=0)
        ends.append(state(model))
    for left, right in zip(*ends, strict=True):
        np.testing.assert_array_equal(left, right)


def test_leaves_no_trace_where_it_fails() -> None:
    class Silent(hb.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            return {"accuracy": super().train_step(data)["accuracy"]}

    x = hb.Input((8,))
    model = Silent(x, layers.Dense(4, "softmax")(x))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    with pytest.raises(ValueError, match="needs a loss: the train_step of 'silent' logs accuracy"):
        hb.lr_find(model, X, Y)
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)


def test_each_loss_is_that_of_one_batch() -> None:
    """At a rate of next to nothing they are what evaluate gives for those batches."""
    model = net()
    curve = hb.lr_find(
        model, X[:64], Y[:64], batch_size=64, min_rate=1e-12, max_rate=1e-11, steps=12, verbose=0
    )
    np.testing.assert_allclose(curve.losses, model.evaluate(X[:64], Y[:64], verbose=0)[0], rtol=1e-5)
    np.testing.assert_allclose(curve.rates[[0, -1]], [1e-12, 1e-11], rtol=1e-6)
    assert curve.suggestion is None
    assert "fell at no rate from 1e-12 to 1e-11" in str(curve)


def test_the_seed_alone_decides() -> None:
    model = with_everything()
    one, two, other = (hb.lr_find(model, X, Y, verbose=0, seed=seed).losses for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one[:50], other[:50])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy: str) -> None:
    hb.mixed_precision.set_global_policy(policy)
    try:
        model = net()
    finally:
        hb.mixed_precision.set_global_policy("float32")
    assert hb.lr_find(model, X, Y, verbose=0).suggestion == pytest.approx(0.01, rel=20)


def test_prints_a_chart(capsys: pytest.CaptureFixture[str]) -> None:
    curve = hb.lr_find(net(), X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[
        -1
    ] == f"Try {curve.suggestion:.2g}: the loss falls fastest at {curve.steepest:.2g} and is " + (
        f"lowest at {curve.lowest:.2g}."
    )
    assert lines[-2].split() == ["1e-06", f"{curve.rates[-1]:.0e}"]
    assert set("".join(line[10:] for line in lines[:8])) <= set(" ▁▂▃▄▅▆▇█")
    # The mark stands over the suggestion's place on the axis of rates.
    share = np.log(curve.suggestion / 1e-6) / np.log(curve.rates[-1] / 1e-6)
    assert lines[-3].index("^") - 10 == pytest.approx(share * min(60, len(curve.rates)), abs=1.5)


def test_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curve = hb.lr_find(net(), X, Y, verbose=0, plot=tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    axes = curve.plot().axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), curve.losses)
    assert axes.get_xscale() == "log"


def own_rates() -> hb.Model:
    model = Gan()
    model.compile()
    return model


def eager() -> hb.Model:
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    return model


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "not compiled": (lambda: hb.lr_find(hb.Sequential([layers.Dense(1)]), X, Y), "is not compiled"),
    "bounds in the wrong order": (
        lambda: hb.lr_find(net(), X, Y, min_rate=1.0, max_rate=0.1),
        "0 < min_rate < max_rate, got 1.0 and 0.1",
    ),
    "line by line": (lambda: hb.lr_find(eager(), X, Y), "compile the model without run_eagerly=True"),
    "a generator": (
        lambda: hb.lr_find(net(), ((X[:8], Y[:8]) for _ in range(99))), "would exhaust a generator",
    ),
    "too few steps": (lambda: hb.lr_find(net(), X, Y, steps=3), "steps"),
    "lengths that differ": (lambda: hb.lr_find(net(), X, Y[:-1]), "x has 512, y has 511"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    run, text = MISTAKES[name]
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        run()


def test_two_optimizers_of_ones_own() -> None:
    with pytest.raises(ValueError, match="needs a loss: the train_step"):
        hb.lr_find(own_rates(), X[:, :2])
