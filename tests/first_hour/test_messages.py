"""Messages for mistakes of the first hour: each row is a mistake, and the words that help.

Messages are those that a terminal or a notebook displays (see `hornbeam/_internal/tracebacks.py`).
"""

from __future__ import annotations

import linecache
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam._internal.call_errors import improve_message
from hornbeam._internal.naming import MOST_NAMES, suggest

X, Y = np.ones((8, 4), "float32"), np.ones((8, 3), "float32")
LABELS = np.arange(8) % 3
IMAGES = np.ones((2, 8, 8, 3), "float32")


def small(units: int = 3, activation: str | None = None, loss: Any = "mse", **options: Any) -> hb.Model:
    """Build a compiled model from 4 numbers to `units`."""
    model = hb.Sequential([hb.Input((4,)), layers.Dense(units, activation=activation)])
    model.compile("adam", loss, **options)
    return model


def _message(code: str) -> str:
    """Run code as the cell of a notebook, and return the message that is displayed."""
    cell = f"<cell {hash(code)}>"
    linecache.cache[cell] = (len(code), None, code.splitlines(keepends=True), cell)
    scope = {
        "__name__": "__main__", "hb": hb, "layers": layers, "ops": ops, "np": np, "x": X, "y": Y,
        "labels": LABELS, "images": IMAGES, "t": ops.ones((3,)), "small": small, "i": hb.Input((4,)),
    }  # fmt: skip
    try:
        exec(compile(code, cell, "exec"), scope)
    except Exception as error:
        improve_message(error, error.__traceback__)
        return f"{type(error).__name__}: {error}"
    raise AssertionError("no error")


def _check(code: str, words: str) -> None:
    message = _message(code)
    assert words in message
    # Fifty names are not read.
    assert message.count(", ") < 25
    assert len(message) < 700


# -- the list of the first hour ------------------------------------------------------------------------------

MISLEADING = [
    ("layers.Dense(3)(t, t)", "Several tensors go into one list: layer([a, b])"),
    ("hb.grad(lambda w: ops.sum(np.log(w)))(t)", "np.log needs it: use hornbeam.ops.log"),
    ("hb.grad(lambda w: float(ops.sum(w)))(t)", "float() needs it: keep the tensor"),
    ("hb.grad(lambda w: w[0] if w[0] > 0 else w[1])(t)", "use ops.where or ops.cond"),
    ("small(loss='cross_entropy')", "Did you mean 'sparse_categorical_crossentropy', "),
    ("small(metrics=['acuracy'])", "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
    ("layers.Dropout(p=.5)", "Dropout has no argument 'p'. Here it is called 'rate'."),
    (
        "layers.Conv2D(out_channels=8, kernel_size=3)",
        "Conv2D has no argument 'out_channels'. Here it is called 'filters'.",
    ),
    ("layers.Conv2D(8, 3, in_channels=3)", "It is not needed: it is read off the first input."),
    ("small().fit(x, y, epoch=3)", "unexpected keyword argument 'epoch'. Did you mean 'epochs'?"),
    ("small().compile(optimiser='adam')", "'optimiser'. Did you mean 'optimizer'?"),
    ("hb.callbacks.EarlyStopping(patence=3)", "no argument 'patence'. Did you mean 'patience'?"),
    ("hb.optimizers.adam", "hornbeam.optimizers has no 'adam'. Did you mean 'Adam'?"),
    ("hb.losses.MeanSquareError", "Did you mean 'MeanSquaredError'?"),
    ("ops.cat([t, t])", "hornbeam.ops has no 'cat'. Here it is ops.concatenate."),
    ("hb.callbacks.WandbCallback()", "Here it is callbacks.WandbTracker"),
    ("small().parameters()", "Sequential has no 'parameters': use model.trainable_weights"),
    ("small().to('cuda')", "use hornbeam.config.set_engine('torch:cuda') or 'jax'"),
    ("small().train()", "use model.fit(x, y)"),
    ("small().eval()", "evaluate and predict are in inference mode already"),
    ("small().state_dict()", "use model.get_weights()"),
    ("t.backward()", "gradients are values here: hornbeam.grad(loss_function)(weights)"),
    ("t.detach()", "use hornbeam.stop_gradient(t)"),
    ("t.cpu()", "np.asarray(t) reads the value"),
    ("t.unsqueeze(0)", "use hornbeam.ops.expand_dims(t, axis)"),
    ("t.view(3, 1)", "use t.reshape(shape)"),
    ("hb.config.set_engine('cuda')", 'it is a device. On a GPU run "jax", "torch:cuda"'),
    ("layers.Layer().add_weight(4, 3)", "takes the shape as one tuple: add_weight((4, 3))"),
    ("ops.matmul(x, y)", "ShapeError: matmul of (8, 4) and (8, 3)"),
]


@pytest.mark.parametrize(("code", "words"), MISLEADING, ids=[code for code, _ in MISLEADING])
def test_the_list_of_the_first_hour(code: str, words: str) -> None:
    _check(code, words)


def test_a_part_of_tensorflow() -> None:
    code = "import hornbeam.as_keras, tensorflow as tf; tf.lite.TFLiteConverter"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "model.export('model.tflite', format='litert')" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [1, 5, 6, 200])
def test_at_most_five_names(number: int) -> None:
    names = [f"name_{i}" for i in range(number)]
    quoted = re.findall(r"name_\d+", suggest("nam_1", names))
    assert 1 <= len(quoted) <= MOST_NAMES + 1
    assert len(re.findall(r"name_\d+", suggest("nam_1", names, where="hornbeam.ops"))) <= MOST_NAMES + 1


# -- further mistakes ----------------------------------------------------------------------------------------

MISTAKES = [
    # Imports and names.
    ("from hornbeam.layers import Linear", "cannot import name 'Linear'"),
    ("from hornbeam.layers import Linear", "Here it is layers.Dense."),
    ("from hornbeam import nn", "Here it is hornbeam.layers, and hornbeam.ops.nn for functions."),
    ("import hornbeam.optim", "No module named 'hornbeam.optim'. Here it is hornbeam.optimizers."),
    ("hb.load_model('m.keras')", "Here it is hornbeam.saving.load_model."),
    ("hb.set_random_seed(0)", "Here it is hornbeam.utils.set_random_seed."),
    ("hb.Session()", "code is eager, and values are read by np.asarray"),
    ("hb.metrics.accuracy_score(labels, labels)", "Here it is metrics.Accuracy."),
    ("ops.random.normal((2,))", "Here it is hornbeam.random."),
    # Arguments: names, order, units, types.
    ("ops.sum(t, dim=0)", "'dim'. Here it is called 'axis'."),
    ("ops.max(t, keepdim=True)", "'keepdims'"),
    ("ops.norm(t, p=2)", "'p'. Here it is called 'ord'."),
    ("ops.add(t)", "Its arguments are (x1, x2)"),
    ("ops.reshape(t, 3, 1)", "Its arguments are (x, newshape)"),
    ("hb.data.split(x, y, test_size=0.2)", "'test_size'. Here it is called 'test'."),
    ("hb.random.normal((2,), std=2.0)", "'std'. Here it is called 'stddev'."),
    ("hb.random.uniform(0, 1, (2, 3))", "the shape is the first argument: uniform((2, 3), ...)"),
    ("hb.optimizers.Adam(lr=0.1)", "Adam has no argument 'lr'. Here it is called 'learning_rate'."),
    ("hb.optimizers.Adam(hb.optimizers.schedules.CosineDecay)", "is the class: write CosineDecay("),
    ("hb.regularizers.L2(alpha=0.1)", "'alpha'. Here it is called 'l2'."),
    ("hb.callbacks.TensorBoard(logdir='x')", "'logdir'. Did you mean 'log_dir'?"),
    ("hb.losses.MeanSquaredError(y, y)", "called afterwards: MeanSquaredError()(y_true, y_pred)"),
    ("hb.metrics.Accuracy(labels, labels)", "called afterwards: Accuracy()(y_true, y_pred)"),
    ("layers.Dropout(50)", "got 50: for 50 percent write 0.5"),
    ("layers.Conv2D(32, (3, 3), 'relu')", "If it is the activation, write activation='relu'"),
    ("layers.Conv2D((3, 3), 32)", "The order is (filters, kernel_size)"),
    ("layers.Reshape(2, 2)", "write target_shape as one tuple"),
    ("layers.Dense(3, 'rellu')", "Did you mean 'relu'?"),
    ("layers.Dense(3, kernel_initializer='xavier')", "Did you mean 'glorot_uniform' or 'glorot_normal'?"),
    ("hb.Input(x)", "got an array of float32 and shape (8, 4)"),
    ("ops.cast(t, 'flaot32')", "Did you mean 'float32'?"),
    ("ops.ones(3, 4)", "the sizes of a shape go into one tuple"),
    ("hb.Variable(t, 3)", "a variable's shape must be a tuple of sizes"),
    ("hb.config.set_engine(hb.engines)", "an engine is selected by its name"),
    # Layers and models.
    ("hb.Sequential(['dense'])", "Sequential takes layers, got str: 'dense'"),
    ("layers.Flatten(i)", "make the layer first, and call it afterwards, as in Flatten(...)(x)"),
    ("layers.Dense(3, i)", "make the layer first, and call it afterwards, as in Dense(...)(x)"),
    ("layers.Concatenate()(x, x)", "Several tensors go into one list: layer([a, b])"),
    ("layers.Concatenate()(x)", "got one tensor: write layer([a, b])"),
    ("layers.BatchNormalization()(x, train=True)", "(inputs, training, mask). Did you mean 'training'?"),
    ("small().get_layer('dens_77')", "has no layer 'dens_77'"),
    ("small().loss_weight", "'Sequential' object has no attribute 'loss_weight'"),
    (
        "class M(hb.Model):\n    def forward(self, x): return x\nM()(x)",
        "it has forward(), which is call() here",
    ),
    ("class M(hb.Model):\n    def call(x): return x\nM()(x)", "Is `self` missing? Write call(self, x)"),
    (
        "class M(hb.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.d = layers.Dense\n    def call(self, x): return self.d(x)\nM()(x)",
        "make it first and call it afterwards: Dense(...)(x)",
    ),
    (
        "class La(layers.Layer):\n    def build(self, s): self.add_weight((s[-1], 3), init='zeros')\n"
        "    def call(self, x): return x\nLa()(x)",
        "'init'. Here it is called 'initializer'.",
    ),
    (
        "class La(layers.Layer):\n    def call(self, x): return np.exp(x)\nLa()(hb.Input((4,)))",
        "np.exp needs it: use hornbeam.ops.exp",
    ),
    # compile and fit.
    ("small().compile('mse', 'adam')", "It is a loss: write compile(optimizer, loss)."),
    ("small().compile(0.01, 'mse')", "write optimizers.Adam(0.01)"),
    ("small(loss=lambda y: y)", "a loss is called with (y_true, y_pred), but <lambda> takes (y)"),
    ("small(loss=lambda a, b: None).fit(x, y, verbose=0)", "returned None: is a `return` missing?"),
    ("small(metrics=[lambda y: y]).fit(x, y, verbose=0)", "a metric is called with (y_true, y_pred)"),
    ("small().fit((x, y), verbose=0)", "Inputs and targets are two arguments, as in fit(x, y)"),
    ("small().fit(lambda: x, verbose=0)", "got function: call it, to pass what it yields"),
    ("small().fit(x, y, val_data=(x, y))", "'val_data'. Here it is called 'validation_data'."),
    ("small().fit(x, y, nb_epoch=3)", "'nb_epoch'. Here it is called 'epochs'."),
    ("small().predict()", "Its arguments are (x, batch_size=None, "),
    ("small().predict_classes(x)", "use model.predict(x).argmax(axis=-1)"),
    ("small().fit_generator(zip(x, y))", "use model.fit(generator)"),
    ("small().optimizer.step()", "use optimizer.apply(gradients, variables)"),
    ("small().optimizer.lr = 0.1", "Adam has no 'lr': use optimizer.learning_rate"),
    ("small().fit(x, y, verbose=0, callbacks=[print])", "write LambdaCallback(on_epoch_end=...)"),
    (
        "class C(hb.callbacks.Callback):\n    def on_epoch_end(self, epoch): pass\n"
        "small().fit(x, y, verbose=0, callbacks=[C()])",
        "the hook on_epoch_end is called with (self, epoch, logs), but C.on_epoch_end takes (self, epoch)",
    ),
    (
        "class C(hb.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs): logs['acc']\n"
        "small(metrics=['accuracy'], activation='softmax', loss='categorical_crossentropy')"
        ".fit(x, np.eye(4)[labels][:, :3], verbose=0, callbacks=[C()])",
        "logs has no 'acc'. Did you mean 'accuracy'? It has: accuracy, loss",
    ),
    ("small().fit(x, y, verbose=0).history['val_loss']", "history has no 'val_loss'. Did you mean 'loss'?"),
    ("small().fit(x, y, verbose=0)['loss']", "history.history['loss'] has the values of the epochs"),
    ("small().fit(x, y, verbose=0).plot()", "hornbeam.insight.plot_history(history) draws it"),
    ("hb.callbacks.LearningRateScheduler(lambda: 0.1)", "a schedule is called with (epoch)"),
    (
        "small().fit(x, y, verbose=0, callbacks=[hb.callbacks.EarlyStopping('val_los')])",
        "Did you mean 'val_loss'?",
    ),
    ("small().evaluate((x, y), verbose=0)", "Inputs and targets are two arguments, as in fit(x, y)"),
    ("small().export('m', format='tflite')", "TensorFlow Lite is 'litert' here."),
    ("small().trainable = 'no'", "trainable must be True or False, got 'no'"),
    ("small().summary(line_length='80')", "line_length must be an integer of at least 1, got '80'"),
    ("layers.Bidirectional(layers.LSTM)", "LSTM is the class: write LSTM(...)"),
    ("layers.TimeDistributed(layers.Dense)", "it is the class, write Dense(...)"),
    ("layers.MultiHeadAttention(2, 4)(images[0])", "For self-attention write layer(x, x)."),
    ("layers.RandomRotation(45)", "a fraction of a full turn: 45 degrees are 45/360"),
    ("layers.Rescaling('1/255')", "scale must be a number or an array, got '1/255'"),
    ("layers.UpSampling2D(scale_factor=2)", "'scale_factor'. Here it is called 'size'."),
    ("layers.MaxPool2D(kernel_size=2)", "'kernel_size'. Here it is called 'pool_size'."),
    ("layers.LSTM(4, return_sequence=True)", "Did you mean 'return_sequences'?"),
    # Tensors.
    ("t[0] = 5", "tensors do not change"),
    ("hb.Variable(t)[0] = 1", "a Variable takes it by variable.assign(new)"),
    ("v = hb.Variable(t); v = v + 1; v.assign(t)", "v + 1 is a new tensor: write v.assign(v + 1)"),
    ("float(t)", "a tensor of shape (3,) is not one number"),
    ("if t > 0: pass", "a tensor of shape (3,) is neither true nor false: use hornbeam.ops.any(t)"),
    ("t.shpae", "a Tensor has no 'shpae'. Did you mean 'shape'?"),
    ("ops.concatenate(t, t)", "the tensors go into one list, concatenate([a, b])"),
    ("ops.array(None)", "A function without `return` gives None"),
    ("ops.einsum(t, t)", "the subscripts come first"),
    ("ops.cond(True, 1, 2)", "cond: a branch must be a function, got 1"),
    ("ops.scan(lambda c, x: c, t[0], t)", "f must return a pair (carry, output)"),
    ("ops.reshape(i, (None, 2, 2))", "write -1 for one size that is unknown"),
    # Compiled functions and gradients.
    ("hb.grad(t)", "grad takes a function that computes the loss"),
    ("hb.jit(3)", "jit takes a function, got 3"),
    ("hb.jit(lambda a: a[a > 0])(t)", "use ops.where(mask, x, 0), which keeps the shape"),
    ("hb.jit(lambda a: ops.unique(a))(t)", "ops.unique needs it, since it decides the shape of the result"),
    ("hb.jit(lambda a: max(a[0], 0))(t)", "max() needs it: use hornbeam.ops.maximum(a, b)"),
    ("hb.jit(lambda a: a.tolist())(t)", "tolist() needs it"),
    ("import math\nhb.jit(lambda a: math.exp(a[0]))(t)", "math.exp needs it: use hornbeam.ops.exp"),
    ("hb.jit(lambda a: [0 for _ in range(int(a[0]))])(t)", "int() needs it"),
    # Data and evaluation.
    ("hb.data.Dataset.from_tensor_slices(x, y)", "several arrays go into one tuple"),
    ("hb.data.k_fold(x, y, n_splits=5)", "'n_splits'. Here it is called 'k'."),
    ("hb.config.set_engine('numpy')", "Keras's backend numpy corresponds to the engine 'reference'"),
    ("hb.evaluation.compare(small(), x, y)", "takes a model"),
    ("hb.vjp(3)", "vjp takes a function and its arguments, got 3"),
    ("hb.data.Dataset(x)", "Dataset.from_tensor_slices makes a dataset of arrays"),
    ("hb.utils.to_categorical(['a', 'b'])", "np.unique(labels, return_inverse=True)[1] numbers them"),
    ("hb.insight.explain(x)", "explain takes a model, got an array"),
    ("hb.evaluation.confusion(labels, labels)", "takes a model"),
    ("hb.utils.plot_model(x)", "an array of float32 and shape (8, 4) has no graph of layers to draw"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "words"), MISTAKES, ids=[code for code, _ in MISTAKES])
def test_further_mistakes(code: str, words: str) -> None:
    _check(code, words)


def test_hooks_that_fit_are_accepted() -> None:
    calls: list[str] = []

    class Recorder(hb.callbacks.Callback):
        def on_train_begin(self, *args: Any) -> None:
            calls.append("begin")

        @staticmethod
        def on_epoch_end(epoch: int, logs: dict[str, float]) -> None:
            calls.append(f"epoch {epoch}: {', '.join(logs)}")

        def on_train_end(self, logs: Any = None, more: int = 0) -> None:
            calls.append("end")

        def on_predict_begin(self) -> None:
            raise AssertionError("not called by fit")

    small().fit(X, Y, verbose=0, callbacks=[Recorder()])
    assert calls == ["begin", "epoch 0: loss", "end"]
