"""Names that are private in Keras and that packages use all the same: each script runs on both libraries."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

LAYERS = """
import keras, numpy as np

inputs = keras.Input((4,))
dense = keras.layers.Dense(2, name="dense")
outputs = dense(inputs)
node = dense._inbound_nodes[0]
assert node.operation is dense and node.input_tensors[0] is inputs and node.output_tensors[0] is outputs
assert node.parent_nodes[0].operation.name == inputs._keras_history.operation.name
assert node.parent_nodes[0].is_input and not node.is_input
sums = keras.layers.Add(name="sum")([outputs, keras.layers.Dense(2, name="second")(outputs)])
model = keras.Model(inputs, sums)
names = {depth: [node.operation.name for node in nodes] for depth, nodes in model._nodes_by_depth.items()}
assert names == {0: ["sum"], 1: ["second"], 2: ["dense"], 3: [inputs._keras_history.operation.name]}, names
assert model._inputs_struct is inputs or model._inputs_struct == [inputs]
assert len(model._nodes) == 4 and len(model._operations) == 4
assert node.arguments.args[0] is inputs and node.arguments.keras_tensors[0] is inputs
assert [v.name for v in dense._trainable_variables] == ["kernel", "bias"]
assert dense._non_trainable_variables == [] and dense._build_shapes_dict == {"input_shape": (None, 4)}
assert keras.layers.Dropout(0.5)._call_has_training_arg and not dense._call_has_mask_arg


class Outer(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3)
        self.mean = keras.metrics.Mean()
        self.events = []

    def build(self, input_shape):
        self.inner.build(input_shape)

    def _post_build(self):
        self.events.append(self.built)
        self.late = self.add_weight(shape=(2,), name="late")

    def call(self, inputs):
        return self.inner(inputs)


outer = Outer()
assert outer._layers == [outer.inner] and outer._metrics == [outer.mean]
outer(np.ones((2, 4), "float32"))
assert outer.events == [True] and len(outer.weights) == 3
outer._tracker.unlock()
outer.added = keras.layers.Dense(1)
outer._tracker.lock()
assert outer._layers == [outer.inner, outer.added]


class Raw(keras.layers.Layer):
    # takes arguments as they are
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True

    def call(self, inputs):
        return [len(row) for row in inputs]


assert Raw()(["a", "bcd"]) == [1, 3] and Raw()([[1, 2], [3]]) == [2, 1]


class Own(keras.Model):
    # names for the user's own things
    def __init__(self):
        super().__init__()
        self._layers = [keras.layers.Dense(3), keras.layers.Dense(1)]
        self._graph, self._state, self._structure, self._scope, self._inbound = 1, 2, 3, 4, 5
        self._results, self._train, self._host, self._record, self._stack = 1, 2, 3, 4, 5

    @property
    def _sublayers(self):
        return "mine"

    def call(self, inputs):
        for layer in self._layers:
            inputs = layer(inputs)
        return inputs


own = Own()
own.compile("sgd", "mse")
own.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)
assert len(own.weights) == 4 and own._sublayers == "mine"
assert (own._graph, own._state, own._structure, own._scope, own._inbound) == (1, 2, 3, 4, 5)
"""

ATTENTION = """
import keras, numpy as np
from keras import ops
from keras.src.layers.attention.multi_head_attention import _build_attention_equation, _build_proj_equation
from keras.src.layers.core.einsum_dense import _analyze_einsum_string, _analyze_quantization_info


class Attention(keras.layers.MultiHeadAttention):
    def build(self, query_shape, value_shape):
        common = self._get_common_kwargs_for_sublayer()
        bias = "de" if self._use_bias else None
        for name, size in (("query", self._key_dim), ("key", self._key_dim), ("value", self._value_dim)):
            shape = (None, self._num_heads, size)
            layer = keras.layers.EinsumDense("abc,cde->abde", shape, bias_axes=bias, name=name, **common)
            layer.build(query_shape)
            setattr(self, f"_{name}_dense", layer)
        self._build_attention(4)
        self._output_dense = self._make_output_dense(query_shape, common, "output")
        self._output_dense.build((*query_shape[:-1], self._num_heads, self._value_dim))
        self.built = True

    def call(self, query, value, mask=None):
        q, k, v = self._query_dense(query), self._key_dense(value), self._value_dense(value)
        scores = ops.einsum(self._dot_product_equation, k, q) * self._inverse_sqrt_key_dim
        scores = self._dropout_layer(self._masked_softmax(scores, mask))
        return self._output_dense(ops.einsum(self._combine_equation, scores, v))


x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
mask = np.tril(np.ones((2, 5, 5), bool))
ours, plain = Attention(2, 4, dropout=0.1), keras.layers.MultiHeadAttention(2, 4, dropout=0.1)
result = ours(x, x, mask=mask)
plain(x, x)
plain.set_weights(ours.get_weights())
np.testing.assert_allclose(plain(x, x, attention_mask=mask), result, atol=1e-5)
assert keras.layers.MultiHeadAttention(2, 4)._attention_axes is None
assert plain._attention_axes == (1,) and plain._query_dense is plain.query_dense
assert (plain._dot_product_equation, plain._combine_equation) == ("aecd,abcd->acbe", "acbe,aecd->abcd")
assert tuple(_build_attention_equation(5, (1, 2))) == ("afgde,abcde->adbcfg", "adbcfg,afgde->abcde", 6)
assert tuple(_build_proj_equation(2, 1, 2)) == ("abc,cde->abde", "de", 4)
shapes = _analyze_einsum_string("ab...,bc->ac...", "c", (None, 4, 6, 7), (5,))
assert tuple(shapes) == ([4, 5], [5, 1, 1], [None, 5, 6, 7], [0], [1]), shapes
axes = _analyze_quantization_info("abc,cde->abde", (None, 3, 4))
assert tuple(axes)[:8] == ([2], [0], [0, 1, 2], [0, 1, 2], [3], [1], [], []), axes
assert axes[8:] == ("abde,cde->abc", [0, 1, 2]), axes
"""

SHAPES = """
import keras, numpy as np


class Windowed(keras.layers.Conv2D):
    def build(self, input_shape):
        super().build(input_shape)
        self.area = self.compute_output_shape(input_shape)[1:3]


class Pooled(keras.layers.MaxPooling2D):
    def build(self, input_shape):
        self.area = self.compute_output_shape(input_shape)[1:3]


windowed, pooled = Windowed(4, 3), Pooled(2)
inputs = keras.Input((10, 10, 1))
model = keras.Model(inputs, pooled(windowed(inputs)))
assert windowed.area == (8, 8) and pooled.area == (4, 4) and model.output_shape == (None, 4, 4, 4)
assert keras.layers.Dense(3).compute_output_shape((None, 4)) == (None, 3)
assert keras.layers.EinsumDense("...x,xy->...y", 5).compute_output_shape((2, 3, 4)) == (2, 3, 5)
assert keras.layers.Conv1D(2, 3, 2, "causal").compute_output_shape((None, None, 4)) == (None, None, 2)
"""

# Not for Keras on JAX, where a comparison of an unknown size with a number fails.
UNKNOWN = """
import keras, numpy as np
from keras import ops


class Tokens(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.softmax = keras.layers.Softmax()

    def build(self, input_shape):
        self.positions = self.add_weight(shape=(12, input_shape[-1]))
        self.token = self.add_weight(shape=(1, 1, input_shape[-1]))

    def call(self, inputs):
        batch, length, size = ops.shape(inputs)
        positions = ops.slice(self.positions, (0, 0), (length, size))
        tokens = ops.repeat(self.token, batch, axis=0)
        weights = self.softmax(inputs, mask=ops.ones((batch, 1, size), "int32"))
        updated = ops.slice_update(weights, (0, 0, 0), ops.zeros((batch, 1, size)))
        return ops.concatenate([tokens, updated + positions], axis=1)


inputs = keras.Input((None, 6))
model = keras.Model(inputs, Tokens()(inputs))
assert model.output_shape == (None, None, 6)
assert model.predict(np.ones((3, 7, 6)), verbose=0).shape == (3, 8, 6)
"""

OPERATIONS = """
import keras, numpy as np
from keras.src.ops.image import ExtractPatches
from keras.src.ops.nn import Relu
from keras.src.ops.numpy import Add, Concatenate, Einsum, GetItem, Mean, Reshape, Sum, Transpose

inputs = keras.Input((4, 6))
total = keras.ops.sum(inputs, axis=1, keepdims=True)
moved = keras.ops.transpose(keras.ops.relu(total), (0, 2, 1))
product = keras.ops.einsum("bij,bjk->bik", moved, inputs[:, :1] + total)
model = keras.Model(inputs, product)
levels = [model._nodes_by_depth[depth] for depth in sorted(model._nodes_by_depth, reverse=True)]
nodes = [node for level in levels for node in level]
operations = {type(node.operation): node for node in nodes}
assert set(operations) == {keras.layers.InputLayer, Sum, Relu, Transpose, GetItem, Add, Einsum}, operations
assert all(isinstance(node.operation, keras.Operation) for node in nodes)
assert all(node.operation in model.operations for node in nodes)
assert operations[Sum].operation.keepdims is True and operations[Transpose].operation.axes == (0, 2, 1)
assert operations[Sum].arguments.args[0] is inputs and operations[Sum].outputs[0] is total
assert operations[Einsum].operation.subscripts == "bij,bjk->bik"
assert len(operations[Einsum].arguments.args) == 2
assert operations[Add].arguments.args[1] is total and operations[Add].arguments.keras_tensors[1] is total
assert operations[GetItem].arguments.args[1] == (slice(None), slice(None, 1))
names = [node.operation.name for node in nodes]
assert len(set(names)) == len(names), names
assert total._keras_history.operation is operations[Sum].operation
assert operations[Relu].parent_nodes[0].operation is operations[Sum].operation
assert operations[Relu].operation._inbound_nodes[0] is operations[Relu]
assert operations[Relu].operation.output is operations[Relu].outputs[0]

mean = Mean(axis=-1, keepdims=False)
assert mean(np.ones((2, 3), "float32")).shape == (2,) and mean(inputs).shape == (None, 4)
assert mean._inbound_nodes[0].operation is mean
assert Reshape((-1, 2))(inputs).shape == (None, 2)
assert Concatenate(axis=1)([inputs, inputs]).shape == (None, 8, 6)
assert ExtractPatches(2)(keras.Input((4, 4, 1))).shape == (None, 2, 2, 4)
assert keras.Model.from_config(model.get_config()).output_shape == (None, 6, 6)

for part in (model, keras.Sequential(), keras.layers.LSTM(2), keras.optimizers.Adam(), mean):
    assert type(part).__module__.partition(".")[0] == "keras", type(part)
assert str(type(model)) == "<class 'keras.src.models.functional.Functional'>"
"""

CALLBACKS = """
import keras, numpy as np, os, tempfile


class Saver(keras.callbacks.ModelCheckpoint):
    paths = []

    def on_train_batch_end(self, batch, logs=None):
        if self._should_save_on_batch(batch):
            self._save_model(epoch=self._current_epoch, batch=batch, logs=logs)
            self.paths.append(self._get_file_path(epoch=self._current_epoch, batch=batch, logs=logs))


class Counter(keras.callbacks.ModelCheckpoint):
    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
folder = tempfile.mkdtemp()
saver = Saver(os.path.join(folder, "{epoch}-{batch}.keras"), save_freq=3)
counter = Counter(os.path.join(folder, "end-{epoch}.keras"))
model.fit(np.ones((16, 2)), np.ones((16, 1)), batch_size=4, epochs=3, verbose=0, callbacks=[saver, counter])
names = [os.path.basename(path) for path in saver.paths]
assert names == ["1-3.keras", "2-2.keras", "3-1.keras", "3-4.keras"], names
assert counter.batches == 12
assert sorted(os.listdir(folder)) == sorted([*names, "end-1.keras", "end-2.keras", "end-3.keras"])
"""


@pytest.mark.parametrize("library", ["hornbeam", "keras"])
@pytest.mark.parametrize(
    "script",
    [LAYERS, ATTENTION, SHAPES, UNKNOWN, OPERATIONS, CALLBACKS],
    ids=["layers", "attention", "shapes", "unknown", "operations", "callbacks"],
)
def test_runs(script: str, library: str, tmp_path: Path) -> None:
    if library == "keras" and (script is UNKNOWN or importlib.util.find_spec("keras") is None):
        pytest.skip("needs Keras, and a script that it runs")
    path = tmp_path / "script.py"
    path.write_text(script, encoding="utf-8")
    command = [sys.executable, *(["-m", "hornbeam", "run"] if library == "hornbeam" else []), str(path)]
    environment = {**os.environ, "KERAS_BACKEND": "jax"} if library == "keras" else dict(os.environ)
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert run.returncode == 0, run.stderr


def test_private_names_that_are_hornbeam_s_begin_with_a_prefix() -> None:
    """Names that users may choose for attributes of their own layers and models."""
    import hornbeam

    likely = "graph host inbound locked record results scope stack state structure sublayers symbols tensors"
    for cls in (hornbeam.layers.Layer, hornbeam.Model, hornbeam.Sequential, hornbeam.models.Functional):
        assert not [name for name in likely.split() if hasattr(cls, f"_{name}")], cls
