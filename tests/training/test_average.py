"""Averages of weights in the model while it is tested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers, optimizers
from hornbeam.random import set_random_seed
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def build_model(optimizer: Any) -> hb.Model:
    set_random_seed(0)
    return compiled_model((3,), [layers.Dense(1)], optimizer, "mse")


class Kernels(callbacks.Callback):
    """Record the kernel at each hook."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, np.ndarray] = {}

    def note(self, hook: str) -> None:
        self.seen[hook] = np.array(self.model.get_weights()[0])

    def on_test_begin(self, logs: Any = None) -> None:
        self.note("test")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.note("epoch")


def fit(model: hb.Model, *watchers: callbacks.Callback) -> None:
    model.fit(X, Y, batch_size=5, verbose=0, validation_data=(X[:5], Y[:5]), callbacks=list(watchers))


@pytest.mark.parametrize("scaled", [False, True])
def test_validation_sees_averages_and_training_goes_on_without(scaled: bool) -> None:
    plain: Any = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    model = build_model(optimizers.LossScaleOptimizer(plain, initial_scale=2.0) if scaled else plain)
    spy = Kernels()
    fit(model, callbacks.SwapEMAWeights(), spy)
    # Training ends with the averages in the variables, so they are what validation must have seen.
    np.testing.assert_array_equal(spy.seen["test"], model.get_weights()[0])
    assert np.abs(spy.seen["epoch"] - spy.seen["test"]).max() > 1e-4


def test_averages_stay_between_epochs() -> None:
    model = build_model(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    spy = Kernels()
    fit(model, callbacks.SwapEMAWeights(swap_on_epoch=True), spy)
    np.testing.assert_array_equal(spy.seen["epoch"], model.get_weights()[0])


def test_predict_gives_the_weights_back() -> None:
    model = build_model(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=None))
    for _ in range(3):
        model.train_on_batch(X, Y)
    trained = model.get_weights()[0]
    averages = model.optimizer.averages()[0][1].numpy()
    swapped = model.predict(X, verbose=0, callbacks=[callbacks.SwapEMAWeights()])
    bias = model.optimizer.averages()[1][1].numpy()
    np.testing.assert_allclose(swapped, X @ averages + bias, rtol=1e-5)
    np.testing.assert_array_equal(model.get_weights()[0], trained)


def test_several_optimizers() -> None:
    averaging = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    choose = optimizers.OptimizerMap(optimizers.SGD(0.1), {".*kernel": averaging})
    model = build_model(optimizers.MultiOptimizer(choose))
    spy = Kernels()
    fit(model, callbacks.SwapEMAWeights(), spy)
    np.testing.assert_array_equal(spy.seen["test"], model.get_weights()[0])
    assert np.abs(spy.seen["epoch"] - spy.seen["test"]).max() > 1e-4


def test_an_optimizer_without_averages() -> None:
    with pytest.raises(ValueError, match="use_ema=True"):
        fit(build_model("sgd"), callbacks.SwapEMAWeights())
