"""The import hook of Hornbeam's backend for official Keras, in processes of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs Keras")

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "PYTHONPATH": str(ROOT / "src"), **environment},
        capture_output=True,
        text=True,
    )


def test_import_chooses_the_backend() -> None:
    done = run(
        "import keras_hornbeam, keras\nprint(keras.backend.backend(), type(keras.ops.ones(2)).__module__)"
    )
    assert done.stdout.split() == ["hornbeam", "hornbeam.core.tensor"], done.stderr


def test_settings_of_keras_are_followed() -> None:
    done = run(
        "import keras_hornbeam, keras, hornbeam\n"
        "keras.config.set_image_data_format('channels_first')\n"
        "keras.config.set_floatx('float16')\n"
        "keras.config.set_epsilon(1e-3)\n"
        "config = hornbeam.config\n"
        "print(config.image_data_format(), config.floatx(), config.epsilon(), keras.ops.zeros(1).dtype)"
    )
    assert done.stdout.split() == ["channels_first", "float16", "0.001", "float16"], done.stderr


def test_too_late() -> None:
    done = run("import keras; import keras_hornbeam", KERAS_BACKEND="numpy")
    assert "keras is imported already: import keras_hornbeam before it" in done.stderr


def test_unknown_version() -> None:
    done = run("import keras_hornbeam\nkeras_hornbeam.hook.KERAS_VERSIONS = ('1.0', '1.1')\nimport keras")
    assert "Hornbeam's backend knows Keras 1.0, 1.1, and 3." in done.stderr
    assert "pip install keras==1.1" in done.stderr


def test_missing_function() -> None:
    done = run("import keras_hornbeam, keras; keras.src.backend.numpy.no_such_function(1)")
    assert "the hornbeam backend has no function 'no_such_function'" in done.stderr


def test_train_step_for_another_backend() -> None:
    done = run(
        "import keras_hornbeam, keras, numpy as np\n"
        "class Model(keras.Sequential):\n"
        "    def train_step(self, state, data): pass\n"
        "model = Model([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)"
    )
    assert "train_step(state, data) is for Keras's JAX backend" in done.stderr
    assert "hornbeam.gradients" in done.stderr


def test_code_that_needs_values() -> None:
    """It runs line by line, in training and in `predict`, and a line says so."""
    code = (
        "import keras_hornbeam, keras, numpy as np\n"
        "class Model(keras.Sequential):\n"
        "    def train_step(self, data):\n"
        "        x, y = data\n"
        "        loss = self.compute_loss(x, y, self(x))\n"
        "        return {'loss': loss, 'large': 1.0 if loss > 1e9 else 0.0}\n"
        "model = Model([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "history = model.fit(np.ones((4, 2)), np.ones((4, 1)), batch_size=2, verbose=0).history\n"
        "print(sorted(history), history['large'])\n"
        "class Absolute(keras.Model):\n"
        "    def call(self, x):\n"
        "        return x if keras.ops.max(x) > 0 else -x\n"
        "print(Absolute().predict(-np.ones(4), batch_size=3, verbose=0))"
    )
    done = run(code)
    lines = done.stdout.splitlines()
    assert "['large', 'loss'] [0.0]" in lines, done.stderr
    assert lines[-1] == "[1. 1. 1. 1.]", done.stderr
    reason = "runs line by line, for it cannot be compiled"
    assert f"train_step {reason}" in done.stdout
    assert f"predict_step {reason}" in done.stdout


def test_distribution_on_one_device() -> None:
    code = (
        "import keras_hornbeam, keras, numpy as np\n"
        "from keras.distribution import DataParallel, DeviceMesh, TensorLayout\n"
        "print(keras.distribution.list_devices(), keras.distribution.get_device_count('gpu'))\n"
        "with DataParallel().scope():\n"
        "    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])\n"
        "    model.compile('sgd', 'mse')\n"
        "    losses = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0).history['loss']\n"
        "print(len(losses))\n"
        "mesh = DeviceMesh((2,), ['batch'], ['cpu:0', 'cpu:1'])\n"
        "keras.distribution.distribute_tensor(keras.ops.ones(2), TensorLayout(['batch'], mesh))"
    )
    done = run(code)
    assert done.stdout.splitlines() == ["['cpu:0'] 0", "1"], done.stderr
    assert "the hornbeam backend has one device, cpu:0" in done.stderr
    two = "import keras_hornbeam, keras; keras.distribution.initialize('a:1,b:1', 2, 0)"
    assert "trains in one process" in run(two).stderr


@pytest.mark.slow
def test_the_newest_keras_is_known() -> None:
    """Fails when PyPI has a Keras that the backend was not tried with yet."""
    command = [sys.executable, "-m", "pip", "index", "versions", "keras"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr.strip()[-80:]}")
    newest = done.stdout.split("(", 1)[1].split(")", 1)[0]
    # In a process: the import would give later tests' Keras this backend.
    known = run("from keras_hornbeam.hook import KERAS_VERSIONS as known; print(*known)").stdout.split()
    assert newest in known, f"Keras {newest} is out: try the backend with it, then add it"
