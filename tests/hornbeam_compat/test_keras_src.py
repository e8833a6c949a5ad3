"""`keras.src` under Hornbeam: the paths of Keras's sources that packages import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS = """
import keras
import keras.src
from keras.src import backend, ops, saving, tree, utils
from keras.src.layers.core.dense import Dense
from keras.src.layers import Layer
from keras.src.layers.rnn.simple_rnn import RNN  # a class that the module itself imports
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.models.functional import Functional
from keras.src.saving import serialization_lib
from keras.src.distribution.distribution_lib import DeviceMesh, distribution
from tensorflow.keras.src.layers import Conv2D
import tensorflow as tf

assert Dense is keras.layers.Dense and Layer is keras.Layer and RNN is keras.layers.RNN
assert Conv2D is keras.layers.Conv2D and tf.keras.src is keras.src
assert backend.KerasTensor is keras.KerasTensor and backend.floatx() == "float32"
assert backend.numpy.add is keras.ops.add and backend.random.normal is keras.random.normal
assert ops.numpy.add is keras.ops.add and ops.nn.relu is keras.ops.relu
assert backend.config is keras.src.backend.config and "config" in dir(backend)
assert DeviceMesh is keras.distribution.DeviceMesh
assert keras.src.__version__ == keras.version() == keras.__version__
assert serialization_lib.serialize_keras_object is keras.saving.serialize_keras_object
assert keras.src.__spec__.name == "keras.src" and keras.src.__path__ == []
for module in (keras, keras.layers, keras.src, keras.src.backend):
    assert module.__file__.endswith(".py"), module
assert "Dense" in dir(keras.layers) and "version" in dir(keras) and "__file__" in dir(keras)
assert not {"compare_engines", "data", "lr_find"} & set(dir(keras)), "names of Hornbeam's own"
assert all(hasattr(keras, name) for name in dir(keras))
namespace = {}
exec("from keras import *", namespace)
assert namespace["Model"] is keras.Model and "compare_engines" not in namespace
exec("from keras.src.ops import *", namespace)
assert namespace["matmul"] is keras.ops.matmul
"""

HELPERS = """
import io
import keras, numpy as np
from keras.src import backend
from keras.src.api_export import keras_export
from keras.src.applications.imagenet_utils import obtain_input_shape
from keras.src.backend import any_symbolic_tensors, get_keras_mask, set_keras_mask, standardize_data_format
from keras.src.backend.common.stateless_scope import StatelessScope, in_stateless_scope
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.layers.convolutional.base_conv import BaseConv
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell
from keras.src.ops.operation_utils import compute_conv_output_shape
from keras.src.saving import saving_lib
from keras.src.saving.serialization_lib import SafeModeScope, in_safe_mode
assert not in_safe_mode()
with SafeModeScope(True):
    assert in_safe_mode()
    with SafeModeScope(False):
        assert not in_safe_mode()
assert not in_safe_mode()
assert backend.standardize_dtype("string") == "string"
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights
from keras.src.utils.argument_validation import standardize_tuple
from keras.src.utils.module_utils import LazyModule
from keras.src.utils.naming import auto_name
from keras.src.utils.tracking import no_automatic_dependency_tracking

x = keras.ops.ones((2, 3))
set_keras_mask(x, x > 0)
assert np.array(get_keras_mask(x)).all() and get_keras_mask(keras.ops.ones(2)) is None
symbol = keras.KerasTensor((None, 3))
assert any_symbolic_tensors(([symbol],)) and any_symbolic_tensors((), {"x": symbol})
assert not any_symbolic_tensors((x,))
assert backend.compute_output_spec(lambda a: a[:, 0], symbol).shape == (None,)
assert backend.standardize_shape([None, 3]) == (None, 3) and backend.convert_to_numpy(x).shape == (2, 3)
assert standardize_data_format(None) == "channels_last" and standardize_tuple(2, 2, "strides") == (2, 2)
assert obtain_input_shape(None, 224, 32, "channels_last", True) == (224, 224, 3)
assert obtain_input_shape(None, 224, 32, "channels_first", False) == (3, None, None)
assert obtain_input_shape((64, 64, 5), 224, 32, "channels_last", True) == (64, 64, 5)
small, unknown = (16, 64, 3), (None, 64, 3)
for shape, weights in ((small, None), (unknown, None), ((64, 64, 3), "imagenet"), ((64, 64), None)):
    try:
        obtain_input_shape(shape, 224, 32, "channels_last", True, weights=weights)
    except ValueError as error:
        assert str(shape) in str(error), error
    else:
        raise AssertionError(shape)
for padding in ("valid", "same"):
    for strides, dilation in ((1, 1), (2, 1), (1, 3)):
        layer = keras.layers.Conv2D(4, (2, 3), strides, padding, dilation_rate=dilation)
        expected = tuple(layer(keras.ops.ones((1, 9, 8, 2))).shape)
        shape = compute_conv_output_shape((1, 9, 8, 2), 4, (2, 3), strides, padding, dilation_rate=dilation)
        assert shape == expected, (shape, expected)
assert (auto_name("PatchEmbedding"), auto_name("PatchEmbedding")) == ("patch_embedding", "patch_embedding_1")
assert class_weight_to_sample_weights(np.array([0, 1, 1]), {1: 3.0}).tolist() == [1.0, 3.0, 3.0]
rows = np.array([[0.1, 0.9], [0.8, 0.2]], "float32")
assert class_weight_to_sample_weights(rows, {1: 3.0, 7: 9.0}).tolist() == [3.0, 1.0]
assert class_weight_to_sample_weights(np.array([[0.99999], [2]]), {1: 3.0}).tolist() == [3.0, 1.0]
for labels, weights, message in (
    ([0, 1], {"1": 3.0}, "class indices, got '1'"),
    ([0, 1], {True: 3.0}, "class indices, got True"),
    (np.ones((2, 3, 4)), {1: 3.0}, "got shape (2, 3, 4)"),
):
    try:
        class_weight_to_sample_weights(labels, weights)
    except ValueError as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)
assert LazyModule("json").available and LazyModule("json").dumps([1]) == "[1]"
assert not LazyModule("no_such_module").available
keras_export("my.layer")(BaseConv)

assert isinstance(keras.layers.Conv1D(2, 3), BaseConv) and not isinstance(keras.layers.Dense(2), BaseConv)
class MyConv(BaseConv):
    def call(self, inputs):
        seen.append((in_symbolic_scope(), in_stateless_scope()))
        return super().call(inputs) * 2.0
seen = []
layer = MyConv(rank=1, filters=4, kernel_size=3, padding="causal", name="mine")
plain = keras.layers.Conv1D(4, 3, padding="causal")
rows = keras.ops.ones((2, 5, 3))
doubled = layer(rows)
plain(rows)
plain.set_weights(layer.get_weights())
np.testing.assert_allclose(np.array(doubled), 2 * np.array(plain(rows)), rtol=1e-6)
layer(keras.Input((5, 3)))
with StatelessScope():
    layer(rows)
assert seen[0] == (False, False) and (True, False) in seen and seen[-1] == (False, True), seen

class Holder(keras.Layer):
    @no_automatic_dependency_tracking
    def hold(self, part):
        self.part = part
holder = Holder()
holder.hold(keras.layers.Dense(2))
holder.own = keras.layers.Dense(3)
holder.own(x), holder.part(x)
assert len(holder.weights) == 2 and holder.weights[0].shape == (3, 3)

class Cell(DropoutRNNCell, keras.Layer):
    state_size = output_size = 3
    dropout, recurrent_dropout = 0.5, 0.0
    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)
    def call(self, inputs, states, training=False):
        mask = self.get_dropout_mask(inputs)
        return inputs * mask, [inputs * mask]
cell = Cell()
first = np.array(cell.get_dropout_mask(x))
assert (first == np.array(cell.get_dropout_mask(x))).all() and set(first.ravel()) <= {0.0, 2.0}
cell.reset_dropout_mask()
outputs = np.array(keras.layers.RNN(cell, return_sequences=True)(keras.ops.ones((8, 6, 3))))
assert (outputs == outputs[:, :1]).all()

states = []
@keras.saving.register_keras_serializable("tests")
class Reader(keras.layers.Dense):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        states.append(in_safe_mode())
model = keras.Sequential([keras.Input((3,)), Reader(2)])
file = io.BytesIO()
saving_lib.save_model(model, file)
again = saving_lib.load_model(io.BytesIO(file.getvalue()))
assert states == [False, True], states
np.testing.assert_array_equal(np.array(again(x)), np.array(model(x)))
"""

REFUSALS = [
    ("from keras.src.layers.core.dense import Desne", "ImportError", "Did you mean 'Dense'?"),
    ("import keras; keras.src.layers.layer.secret", "AttributeError", "private to Keras"),
    ("import keras.src.no.such", "ImportError", "keras.src has no 'no' here"),
]


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(script)], capture_output=True, text=True, cwd=folder
    )


@pytest.mark.parametrize("code", [IMPORTS, HELPERS], ids=["imports", "helpers"])
def test_packages_find_what_they_import(code: str, tmp_path: Path) -> None:
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("code", "error", "message"), REFUSALS)
def test_other_names_say_so(code: str, error: str, message: str, tmp_path: Path) -> None:
    wrapped = f"try:\n    {code}\nexcept {error} as error:\n    print(error)\n"
    result = run(wrapped, tmp_path)
    assert message in result.stdout, result.stderr


def test_every_listed_name_resolves(tmp_path: Path) -> None:
    code = """
import importlib, keras.src
from hornbeam_compat import keras_src
count = 0
for path in keras_src._table():
    module = importlib.import_module(f"keras.src.{path}".rstrip("."))
    for name in dir(module):
        getattr(module, name)
        count += 1
print(count)
"""
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 2000
