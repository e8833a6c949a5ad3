"""`keras.src.testing` under Hornbeam: the base class of tests that packages use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("absl")

SUITE = """
import keras, numpy as np
from absl.testing import parameterized
from keras import layers
from keras.src import testing
from keras.src.testing import test_utils


class Scale(layers.Layer):
    def __init__(self, factor=2.0, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.dropout = layers.Dropout(rate, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(self, input_shape):
        self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, x):
        return self.dropout(x * self.gain * self.factor)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "rate": self.dropout.rate}


class Forgetful(Scale):
    def get_config(self):
        return {**super().get_config(), "factor": self.factor + 1}


CASES = test_utils.named_product([{"testcase_name": "one", "size": 1}, {"testcase_name": "two", "size": 2}],
                                 rate=[0.25, 0.5])


class LayerTest(testing.TestCase):
    @parameterized.named_parameters(CASES)
    def test_scale(self, size, rate):
        self.run_layer_test(
            Scale, {"factor": 3.0, "rate": rate}, input_shape=(4, size), expected_output_shape=(None, size),
            expected_output_dtype="float32", expected_num_trainable_weights=1,
            expected_num_non_trainable_weights=0, expected_num_non_trainable_variables=1,
            expected_num_seed_generators=1, expected_num_losses=0, supports_masking=True,
            custom_objects={"Scale": Scale})

    def test_values(self):
        x = np.ones((2, 3), "float32")
        self.run_layer_test(Scale, {}, input_data=x, expected_output=keras.ops.convert_to_tensor(2 * x),
                            custom_objects={"Scale": Scale})

    def test_several_inputs(self):
        self.run_layer_test(layers.Add, {}, input_shape=[(2, 3), (2, 3)], expected_output_shape=(2, 3),
                            run_training_check=False)

    @parameterized.parameters(
        {"expected_num_trainable_weights": 2}, {"expected_output_shape": (4, 7)},
        {"expected_output_dtype": "int32"}, {"supports_masking": False}, {"expected_num_losses": 1},
        {"expected_num_seed_generators": 0})
    def test_wrong_words_are_seen(self, **words):
        with self.assertRaises(AssertionError):
            self.run_layer_test(Scale, {}, input_shape=(4, 3), custom_objects={"Scale": Scale}, **words)

    def test_configs_are_compared(self):
        with self.assertRaises(AssertionError):
            self.run_class_serialization_test(Forgetful(), {"Forgetful": Forgetful})

    def test_checks_of_tensors(self):
        x = keras.ops.ones((2,))
        self.assertAllClose(x, [1, 1])
        self.assertNotAllClose(x, [1, 2])
        self.assertAllEqual(x, keras.Variable([1.0, 1.0]))
        self.assertAlmostEqual(x, [1.0001, 1.0])
        self.assertDType(x, "float32")
        self.assertLen([1, 2], 2)
        self.assertSparse(x, False)
        folder = self.get_temp_dir()
        self.assertNotEqual(folder, self.get_temp_dir())
        with self.assertRaises(AssertionError):
            self.assertFileExists(folder)
        self.assertFalse(testing.uses_gpu())
        for check in (self.assertAllClose, self.assertAllEqual, self.assertAlmostEqual):
            with self.assertRaises(AssertionError):
                check(x, [1.0, 1.1])

    def test_names_begin_anew(self):
        self.assertEqual(layers.Dense(1).name, "dense")

    def test_names_begin_anew_again(self):
        self.assertEqual(layers.Dense(1).name, "dense")

    def test_data(self):
        (x, y), (x2, y2) = test_utils.get_test_data(20, 10, (3,), 2, random_seed=0)
        self.assertEqual((x.shape, x2.shape, np.bincount(y).tolist(), np.bincount(y2).tolist()),
                         ((20, 3), (10, 3), [10, 10], [5, 5]))
"""


@pytest.mark.parametrize("plugin", ["hornbeam.as_keras", pytest.param("", marks=pytest.mark.slow)])
def test_a_suite_of_a_package_runs(plugin: str, tmp_path: Path) -> None:
    """The suite passes here and on real Keras."""
    (tmp_path / "test_scale.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_scale.py"]
    done = subprocess.run(
        [*command, *(["-p", plugin] if plugin else [])],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "" if plugin else "jax"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "17 passed" in done.stdout, done.stdout
