"""Eager gradients through layers that assign in training mode, beside those that JAX takes of Keras's."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import jax
import keras
import numpy as np
import pytest

import hornbeam
from hornbeam_compat.tensorflow.tape import GradientTape
from tests.helpers.parity.comparison import Comparison

STACKS = {
    "batch normalization": ["Dense(4)", "BatchNormalization(momentum=0.9)", "Dense(1)"],
    "renormalization": [
        "Dense(4, 'tanh')",
        "BatchNormalization(renorm=True, renorm_momentum=0.5)",
        "Dense(1)",
    ],
    "two in a row": ["Dense(4)", "BatchNormalization()", "Dense(3, 'relu')", "BatchNormalization()"],
}


def build_model(side: ModuleType, texts: list[str]) -> Any:
    names = {name: getattr(side.layers, name) for name in ("BatchNormalization", "Dense")}
    return side.Sequential([side.Input((5,)), *(eval(text, names) for text in texts)])


def by_function(model: Any, x: np.ndarray, y: np.ndarray) -> list[Any]:
    loss = hornbeam.ops.mean(hornbeam.ops.square(model(x, training=True) - y))
    return hornbeam.gradients(loss, model.trainable_variables)


def by_tape(model: Any, x: np.ndarray, y: np.ndarray) -> list[Any]:
    with GradientTape() as tape:
        loss = hornbeam.ops.mean(hornbeam.ops.square(model(x, training=True) - y))
    float(loss)
    return tape.gradient(loss, model.trainable_variables)


@pytest.mark.parametrize("way", [by_function, by_tape])
@pytest.mark.parametrize("name", STACKS)
def test_gradients(compare: Comparison, name: str, way: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(1, 2, size=(16, 5)).astype("float32")
    y = rng.normal(size=(16, 1)).astype("float32")
    ours, theirs = build_model(hornbeam, STACKS[name]), build_model(keras, STACKS[name])
    theirs.set_weights([rng.uniform(0.5, 1.5, size=w.shape) for w in theirs.weights])
    ours.set_weights(theirs.get_weights())

    def loss(trainable: list[Any], others: list[Any]) -> tuple[Any, list[Any]]:
        outputs, after = theirs.stateless_call(trainable, others, x, training=True)
        return ((outputs - y) ** 2).mean(), after

    gradients, after = jax.grad(loss, has_aux=True)(
        [v.value for v in theirs.trainable_variables], [v.value for v in theirs.non_trainable_variables]
    )
    compare.close("gradients", [np.asarray(g) for g in way(ours, x, y)], gradients, "layers gradients")
    compare.close("state", [np.asarray(v) for v in ours.non_trainable_variables], after, "layers")


def test_a_loop_of_ones_own_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(1, 2, size=(64, 5)).astype("float32")
    y = x[:, :1] - x[:, 1:2]
    model = build_model(hornbeam, STACKS["batch normalization"])
    optimizer = hornbeam.optimizers.Adam(0.05)
    losses = []
    for _ in range(60):
        loss = hornbeam.ops.mean(hornbeam.ops.square(model(x, training=True) - y))
        optimizer.apply(hornbeam.gradients(loss, model.trainable_variables), model.trainable_variables)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 20
