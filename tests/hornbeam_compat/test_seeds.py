"""Hornbeam's generators follow `random.seed` and `np.random.seed` in place of Keras."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
{prelude}
import random
import numpy as np
import keras

X, Y = np.random.default_rng(0).normal(size=(40, 3)).astype("float32"), np.ones((40, 1), "float32")


def train(seed=None, np_seed=None):
    if seed is not None:
        random.seed(seed)
    if np_seed is not None:
        np.random.seed(np_seed)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5),
                              keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    return model.predict(X, verbose=0)


def same(a, b):
    return bool(np.array_equal(a, b))


first = train(1, 1)
assert same(first, train(1, 1)), "both seeds"
assert not same(first, train(2, 1)), "another seed of Python: other weights"
assert not same(first, train(1, 2)), "another seed of NumPy: another order"
assert not same(train(), train()), "without seeds"
assert same(train("text", 1), train("text", 1))
state, np_state = random.getstate(), np.random.get_state()
results = []
for _ in range(2):
    random.setstate(state)
    np.random.set_state(np_state)
    results.append(train())
second = results[0]
assert same(second, results[1]), "states"
random.seed()
np.random.seed()
assert not same(second, train())
random.seed(5)
numbers = [random.random(), random.random()]
random.seed(5)
assert numbers == [random.random(), random.random()]
keras.utils.set_random_seed(3)
a = train()
keras.utils.set_random_seed(3)
assert same(a, train())
"""


@pytest.mark.parametrize(
    "prelude", ["import hornbeam; hornbeam.install_as_keras()", pytest.param("", marks=pytest.mark.slow)]
)
def test_python_and_numpy_seeds(prelude: str) -> None:
    """The script passes here and on real Keras."""
    code = SCRIPT.format(prelude=prelude or "import os; os.environ['KERAS_BACKEND'] = 'jax'")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_uninstalling_restores_the_functions() -> None:
    code = (
        "import random, numpy as np, hornbeam; before = random.seed, np.random.seed\n"
        "hornbeam.install_as_keras(); assert random.seed is not before[0]\n"
        "hornbeam.uninstall_as_keras(); assert (random.seed, np.random.seed) == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
