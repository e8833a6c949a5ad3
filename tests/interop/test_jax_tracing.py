"""Transformations of JAX through our operations, in programs written for Keras on JAX."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("jax")

HEAD = """
import json, os
os.environ["KERAS_BACKEND"] = "jax"
import jax
import jax.numpy as jnp
import numpy as np
import keras
from keras import layers, ops
close = np.testing.assert_allclose
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 3)).astype("float32")
y = x.sum(1, keepdims=True)
"""

TRANSFORMATIONS = """
close(jax.grad(lambda a: ops.sum(a**2))(3.0), 6.0)
close(jax.grad(lambda a: jnp.sum(ops.exp(a) * ops.ones(3)))(jnp.ones(3)), np.full(3, np.e), rtol=1e-6)
close(jax.hessian(lambda a: ops.sum(ops.sin(a) * a))(jnp.zeros(2)), 2 * np.eye(2), atol=1e-6)
assert jax.vmap(lambda a: ops.matmul(a, ops.transpose(a)))(jnp.ones((4, 2, 3))).shape == (4, 2, 2)
close(jax.lax.scan(lambda c, a: (ops.add(c, a), c), jnp.zeros(2), jnp.ones((5, 2)))[0], [5.0, 5.0])
jitted = jax.jit(
    lambda a: (ops.softmax(a), ops.cond(ops.sum(a) > 0, lambda: a, lambda: -a), ops.is_tensor(a))
)
close(jitted(ops.ones((2, 2)))[0], np.full((2, 2), 0.5))
close(jitted(-np.ones((2, 2), "float32"))[1], np.ones((2, 2)))
assert bool(jitted(np.ones((2, 2)))[2]) and ops.is_tensor(jnp.ones(2)) and not ops.is_tensor(np.ones(2))
assert all(isinstance(part, jax.Array) for part in jitted(ops.ones((2, 2))))
doubled = jax.jit(lambda a: ops.while_loop(lambda i, b: i < 3, lambda i, b: (i + 1, b * 2), (0, a))[1])
close(doubled(jnp.ones(2)), 8.0)
close(jnp.sum(ops.ones((2, 3))), 6.0)
close(jnp.asarray(keras.Variable([1.0, 2.0])), [1.0, 2.0])
close(ops.sum(jnp.ones(3)), 3.0)

@ops.custom_gradient
def tenfold(a):
    return a**2, lambda upstream: upstream * 10

close(jax.grad(lambda a: ops.sum(tenfold(a) * a))(jnp.ones(2)), [11.0, 11.0])
close(jax.grad(lambda a: ops.sum(ops.stop_gradient(a) * a))(jnp.full(2, 3.0)), [3.0, 3.0])
"""

MODELS = """
model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.BatchNormalization()])
model.add(layers.Flatten())
model.add(layers.Dense(2))
images = rng.normal(size=(2, 8, 8, 1)).astype("float32")
inside = jax.jit(lambda a: model(a))(images)  # weights get their first values inside
assert all(v.shape == v.value.numpy().shape for v in model.trainable_variables)
close(inside, model(images), atol=1e-5)
close(jax.vmap(lambda a: model(a[None])[0])(images), inside, atol=1e-5)
gradient = jax.grad(lambda a: ops.sum(model(a)))(images)
step = np.zeros_like(images)
step[0, 4, 4, 0] = 1e-2
difference = ops.sum(model(images + step)) - ops.sum(model(images - step))
close(gradient[0, 4, 4, 0], float(difference) / 2e-2, rtol=1e-2)
lstm = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4), layers.Dense(1)])
assert jax.grad(lambda a: ops.sum(lstm(a)))(jnp.ones((2, 5, 3))).shape == (2, 5, 3)
"""

LOOP = """
model = keras.Sequential([
    keras.Input((3,)), layers.Dense(8, activation="relu"), layers.Dropout(0.2), layers.Dense(1)
])
optimizer = keras.optimizers.Adam(0.02)
optimizer.build(model.trainable_variables)
loss_of = keras.losses.MeanSquaredError()
metric = keras.metrics.MeanAbsoluteError()

def loss_and_state(trainable, other, x, y):
    predicted, other = model.stateless_call(trainable, other, x, training=True)
    return loss_of(y, predicted), (predicted, other)

@jax.jit
def step(state, x, y):
    trainable, other, moments, totals = state
    differentiated = jax.value_and_grad(loss_and_state, has_aux=True)
    (loss, (predicted, other)), grads = differentiated(trainable, other, x, y)
    trainable, moments = optimizer.stateless_apply(moments, grads, trainable)
    return loss, (trainable, other, moments, metric.stateless_update_state(totals, y, predicted))

groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables, metric.variables)
state = [[v.value for v in group] for group in groups]
losses = []
for _ in range(60):
    loss, state = step(state, x, y)
    losses.append(float(loss))
assert losses[-1] < 0.3 * losses[0], losses
assert int(state[2][0]) == 60
for group, values in zip(groups, state):
    for variable, value in zip(group, values):
        variable.assign(value)
close(metric.result(), metric.stateless_result(state[3]))
"""

FIT = """
class OnJax(keras.Model):
    def loss_and_updates(self, trainable, other, x, y):
        predicted, other = self.stateless_call(trainable, other, x, training=True)
        return self.compute_loss(x, y, predicted), (predicted, other)

    def train_step(self, state, data):
        trainable, other, moments, totals = state
        x, y = data
        differentiated = jax.value_and_grad(self.loss_and_updates, has_aux=True)
        (loss, (predicted, other)), grads = differentiated(trainable, other, x, y)
        trainable, moments = self.optimizer.stateless_apply(moments, grads, trainable)
        logs, new = {}, []
        for metric in self.metrics:
            values = totals[len(new):len(new) + len(metric.variables)]
            seen = (loss,) if metric.name == "loss" else (y, predicted)
            values = metric.stateless_update_state(values, *seen)
            logs[metric.name] = metric.stateless_result(values)
            new += values
        return logs, (trainable, other, moments, new)

def trained(kind):
    keras.utils.set_random_seed(1)
    first = keras.Input((3,))
    hidden = layers.Dropout(0.1, seed=3)(layers.Dense(8, activation="relu")(first))
    model = kind(first, layers.Dense(1)(hidden))
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=["mae"])
    options = {"epochs": 3, "batch_size": 16, "verbose": 0, "shuffle": False, "validation_data": (x, y)}
    return model.fit(x, y, **options).history, model.get_weights()

history, weights = trained(OnJax)
expected, expected_weights = trained(keras.Model)
assert sorted(history) == sorted(expected) == ["loss", "mae", "val_loss", "val_mae"]
for name in history:
    close(history[name], expected[name], rtol=1e-4)
for a, b in zip(weights, expected_weights):
    close(a, b, rtol=1e-3, atol=1e-4)

class Forgetful(OnJax):
    def train_step(self, *args):
        logs, state = super().train_step(*args)
        return logs, state[:3]

try:
    trained(Forgetful)
except ValueError as error:
    assert "train_step must return logs and the state, a tuple of lists of" in str(error), error
else:
    raise AssertionError
"""


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "HORNBEAM_ENGINE")}


@pytest.mark.parametrize(
    "script", [TRANSFORMATIONS, MODELS, LOOP, FIT], ids=["transformations", "models", "loop", "fit"]
)
def test_programs_for_keras_on_jax(script: str) -> None:
    run = [sys.executable, "-m", "hornbeam", "run", "-c", HEAD + script + "print('passed')"]
    done = subprocess.run(run, capture_output=True, text=True, env=environment())
    assert done.stdout.strip() == "passed", done.stderr
    assert done.stderr.count("running on the jax engine") == 1


NATIVE = """
import jax, json
import hornbeam as hb
messages = []
def attempt(engine):
    hb.config.set_engine(engine)
    try:
        return float(jax.grad(lambda x: hb.ops.sum(x**2))(3.0))
    except TypeError as error:
        return str(error)
before = attempt("jax")
hb.interop.register_jax()
hb.interop.register_jax()
print(json.dumps([before, attempt("jax"), attempt("native")]))
"""


def test_without_registration_and_on_another_engine() -> None:
    run = [sys.executable, "-c", NATIVE]
    done = subprocess.run(run, capture_output=True, text=True, env=environment(), check=True)
    before, result, native = json.loads(done.stdout)
    assert "register_jax()" in before
    assert result == 6.0
    assert "the engine 'native' computes: call hornbeam.config.set_engine('jax')" in native
