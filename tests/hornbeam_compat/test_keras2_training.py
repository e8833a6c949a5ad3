# ruff: noqa: E501
"""Training as programs for Keras 1 and 2 expect it, under `hornbeam run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb

HEAD = """
import numpy as np
import keras
from keras import backend as K
from keras.layers import *
from keras.models import Model, Sequential
rng = np.random.default_rng(0)
x = rng.random((64, 8)).astype("float32")
y = (x.sum(1) > 4).astype("float32")
"""

# (script, its output, message on stderr)
SCRIPTS = {
    "symbolic losses count": (
        """
i = Input((8,))
h = Dense(4, activation="relu")(i)
mean, log_var = Dense(2)(h), Dense(2)(h)
z = Lambda(lambda a: a[0] + K.exp(a[1] / 2) * K.random_normal(shape=(K.shape(a[0])[0], 2)))([mean, log_var])
o = Dense(8, activation="sigmoid")(z)
model = Model(i, o)
kl = -0.5 * K.sum(1 + log_var - K.square(mean) - K.exp(log_var), axis=-1)
model.add_loss(K.mean(8 * keras.losses.binary_crossentropy(i, o) + kl))
model.compile("adam")
before = model.get_weights()
loss = model.fit(x, None, epochs=1, validation_data=(x[:8], None), verbose=0).history["loss"][0]
print(loss > 1, all(not np.allclose(a, b) for a, b in zip(before, model.get_weights())))
""",
        "True True",
        "",
    ),
    "a frozen discriminator is trained": (
        """
judge = Sequential([Input((8,)), Dense(4), Dense(1, activation="sigmoid")])
judge.compile("adam", "binary_crossentropy")
maker = Sequential([Input((3,)), Dense(8)])
judge.trainable = False
i = Input((3,))
both = Model(i, judge(maker(i)))
both.compile("adam", "binary_crossentropy")
def changed(train):
    before = [model.get_weights()[0].copy() for model in (judge, maker)]
    train()
    return [not np.allclose(a, m.get_weights()[0]) for a, m in zip(before, (judge, maker))]
print(changed(lambda: judge.train_on_batch(x, y)), changed(lambda: both.train_on_batch(x[:, :3], y)))
print(changed(lambda: judge.fit(x, y, verbose=0)), judge.trainable)
""",
        "[True, False] [False, True]\n[True, False] False",
        "`trainable` was changed after compile(). As in Keras 2",
    ),
    "samples are no batches": (
        """
def batches():
    while True:
        yield x[:16], y[:16]
steps = []
class Count(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        steps.append(batch)
model = Sequential([Input((8,)), Dense(1)])
model.compile("sgd", "mse")
options = dict(callbacks=[Count()], verbose=0)
model.fit_generator(batches(), samples_per_epoch=40, nb_epoch=2, validation_data=batches(), nb_val_samples=32, **options)
print(len(steps), end=" ")
model.fit_generator(batches(), 40, nb_epoch=1, **options)
print(len(steps), end=" ")
model.fit_generator(batches(), 2, 3, **options)
print(len(steps), len(model.predict_generator(batches(), val_samples=32)))
""",
        "6 9 15 32",
        "the number of batches (40 samples in batches of 16)",
    ),
    "gradients of a static graph": (
        """
model = Sequential([Input((8,)), Dense(4, activation="tanh", name="inner"), Dense(1)])
loss = K.mean(model.get_layer("inner").output[:, 2])
g, nothing = K.gradients(loss, [model.input, Input((2,))])
w = K.gradients(loss, model.layers[0].kernel)[0]
run = K.function([model.input], [loss, g, w])
value, by_input, weights = run([x])
kernel, bias = (a.numpy() if hasattr(a, "numpy") else np.array(a) for a in model.layers[0].weights)
inner = np.tanh(x @ kernel + bias)[:, 2]
expected = (1 - inner[:, None] ** 2) * kernel[:, 2] / 64
print(np.allclose(value, inner.mean(), atol=1e-6), np.allclose(by_input, expected, atol=1e-6), nothing, weights.shape)
print(np.allclose(weights[:, 2], ((1 - inner**2) @ x) / 64, atol=1e-6))
""",
        "True True None (8, 4)\nTrue",
        "keras.backend.gradients is deprecated",
    ),
    "recurrent layers": (
        """
s = rng.random((8, 5, 3)).astype("float32")
plain = LSTM(4, return_sequences=True)
swapped = LSTM(4, time_major=True, return_sequences=True)
swapped.build((5, 8, 3)); plain.build((8, 5, 3))
swapped.set_weights(plain.get_weights())
print(np.allclose(np.swapaxes(swapped(np.swapaxes(s, 0, 1)), 0, 1), plain(s), atol=1e-6))
model = Sequential([LSTM(4, input_shape=(5, 3), batch_size=8, stateful=True), Dense(1)])
model.compile("sgd", "mse")
first, second = model.predict(s, batch_size=8, verbose=0), model.predict(s, batch_size=8, verbose=0)
model.reset_states()
print(np.allclose(first, model.predict(s, batch_size=8, verbose=0)), np.allclose(first, second))
print(model.layers[0].output_shape, model.layers[1].input_shape, GRU(2, input_dim=3, input_length=5)._batch_shape_arg)
""",
        "True\nTrue False\n(8, 4) (8, 4) (None, 5, 3)",
        "Model.reset_states() is deprecated",
    ),
    "names of metrics": (
        """
model = Sequential([Input((8,)), Dense(1, activation="sigmoid")])
model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping(monitor="val_acc", patience=0)
slower = keras.callbacks.ReduceLROnPlateau(monitor="val_acc")
history = model.fit(x[:48], y[:48], epochs=9, validation_data=(x[48:], y[48:]), callbacks=[stop, slower], verbose=0).history
print(len(history["acc"]) < 9, len(history["lr"]) == len(history["val_acc"]))
""",
        "True True",
        "monitor='val_acc' is deprecated, use monitor='val_accuracy'",
    ),
    "a layer twice": (
        """
twice = Dense(8)
model = Sequential([Input((8,)), twice, twice, Dense(1)])
model.compile("sgd", "mse")
model.fit(x, y, verbose=0)
print(model.count_params(), model.predict(x, verbose=0).shape)
""",
        "81 (64, 1)",
        "a layer can be in a Sequential only once",
    ),
    "old names are listed once": (
        """
model = Sequential([Dense(output_dim=1, init="zeros", input_dim=8)])
model.compile(keras.optimizers.SGD(lr=0.1), "mse")
model.fit(x, y, nb_epoch=1, verbose=0)
print(type(keras.optimizers.rmsprop(learning_rate=0.1)).__name__)
""",
        "RMSprop",
        "lr= is deprecated, use learning_rate=; Model.fit(nb_epoch=) is deprecated, use epochs=",
    ),
    "names of reductions": (
        """
total = keras.losses.MeanSquaredError(reduction=keras.losses.Reduction.SUM)
each = keras.losses.MeanSquaredError(reduction=keras.losses.Reduction.NONE)
mean = keras.losses.MeanSquaredError(reduction=keras.losses.Reduction.AUTO)
a, b = np.zeros((2, 1)), np.array([[1.0], [2.0]])
print(float(total(a, b)), np.asarray(each(a, b)).tolist(), float(mean(a, b)))
""",
        "5.0 [1.0, 4.0] 2.5",
        "keras.losses.Reduction is deprecated",
    ),
    "decay of a rate that callbacks set": (
        """
model = Sequential([Input((1,)), Dense(1, kernel_initializer="zeros", use_bias=False)])
model.compile(keras.optimizers.SGD(lr=1.0, decay=0.5), lambda t, p: K.mean(-p))
set_rate = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
history = model.fit(np.ones((2, 1)), np.ones((2, 1)), batch_size=1, epochs=2, callbacks=[set_rate], verbose=0).history
# Rates 0.5 and 0.25 of two updates each, divided by 1, 1.5, 2 and 2.5.
print(round(float(model.get_weights()[0][0, 0]), 4), history["lr"], float(model.optimizer.lr), model.optimizer.decay)
print(model.optimizer.get_config()["learning_rate"]["config"]["decay_rate"], len(model.optimizer.variables))
import pandas
print(pandas.DataFrame(history)["lr"].tolist())
""",
        "1.0583 [0.5, 0.25] 0.25 0.5\n0.5 1\n[0.5, 0.25]",
        "decay= is deprecated",
    ),
    "generators have no end": (
        """
from keras.preprocessing.image import ImageDataGenerator
flow = ImageDataGenerator().flow(rng.random((10, 4, 4, 1)), np.ones(10), batch_size=4)
steps = []
class Count(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        steps.append(batch)
model = Sequential([Input((4, 4, 1)), Flatten(), Dense(1)])
model.compile("sgd", "mse")
for fit in (model.fit_generator, model.fit):
    fit(flow, steps_per_epoch=10 // 4, epochs=3, callbacks=[Count()], verbose=0)
    fit(flow, steps_per_epoch=4, epochs=1, callbacks=[Count()], verbose=0)
print(steps)
""",
        "[0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 0, 1, 0, 1, 2, 3]",
        "Model.fit_generator() is deprecated",
    ),
    "arguments of layers": (
        """
i = Input(shape=8)
a = Dense(3, name="block/dense")(i)
model = Model(i, [Dense(1, name="a")(a), Dense(1, name="b")(a)])
print(AveragePooling2D()(np.ones((1, 4, 4, 1))).shape, AveragePooling1D(4)(np.ones((1, 4, 1))).shape)
model.compile("sgd", "mse", metrics=["mae", "mape", keras.metrics.MeanSquaredError(name="sq")])
print(sorted(model.fit(x, [y, y], verbose=0).history))
model.save("model.h5")
again = keras.models.load_model("model.h5")
print(np.allclose(again.get_layer("block/dense").kernel, model.get_layer("block/dense").kernel))
class Own(Model):
    def __init__(self):
        super().__init__()
        self.loss = []
        self.dense = Dense(1)
    def call(self, x):
        return self.dense(x)
own = Own()
own.loss.append(2)
print(own.loss, end=" ")
own.compile("sgd", "mse")
print(own.loss, len(np.shape(own.test_on_batch(x, y, reset_metrics=False))), isinstance(keras.callbacks.BaseLogger(), keras.callbacks.Callback))
""",
        "(1, 2, 2, 1) (1, 1, 1)\n"
        "['a_loss', 'a_mae', 'a_mape', 'a_sq', 'b_loss', 'b_mae', 'b_mape', 'b_sq', 'loss']\n"
        "True\n[2] mse 0 True",
        "compile(metrics=) names 3 metrics for each of 2 outputs",
    ),
    "minimize": (
        """
v = keras.Variable([2.0])
optimizer = keras.optimizers.SGD(0.1)
optimizer.minimize(lambda: v * v, lambda: [v])
import tensorflow as tf
with tf.GradientTape() as tape:
    loss = v * v
optimizer.minimize(loss, [v], tape=tape)
print(np.array(v).round(4))
""",
        "[1.28]",
        "optimizer.minimize() is deprecated",
    ),
    "shapes of symbolic tensors": (
        """
import tensorflow as tf
i = Input((3,))
print(i.shape.as_list(), i.get_shape().as_list(), i.shape.dims[1].value)
from tensorflow.python.keras.utils import conv_utils
print(conv_utils.normalize_tuple(2, 2, "kernel_size"), conv_utils.conv_output_length(7, 3, "same", 2))
""",
        "[None, 3] [None, 3] 3\n(2, 2) 4",
        "conv_utils.normalize_tuple is deprecated",
    ),
    "numbers of Keras 2": (
        """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
images = rng.normal(size=(4, 3, 3, 2)).astype("float32")
for layer, n in ((keras.layers.BatchNormalization(momentum=0), 36), (keras.layers.SyncBatchNormalization(momentum=0), 0)):
    layer(images, training=True)
    variance = images.reshape(-1, 2).var(0) * (n / (n - 1) if n else 1)
    print(np.allclose(layer.moving_variance, variance, rtol=1e-5))
layer = keras.layers.BatchNormalization(momentum=0)
layer(x, training=True)
print(np.allclose(layer.moving_variance, x.var(0), rtol=1e-5))
i = Input((8,))
model = Model(i, [Dense(1, name="a")(i), Dense(1, name="b")(i)])
model.compile("sgd", "mse", metrics=["mae", "mse"])
logs = model.train_on_batch(x, [y, y], return_dict=True)
print(sorted(logs))
print(K.backend(), keras.layers.SeparableConv2D(2, 3, kernel_initializer="ones")(images).shape)
""",
        "True\nTrue\nTrue\n['a_loss', 'a_mae', 'a_mse', 'b_loss', 'b_mae', 'b_mse', 'loss']\ntensorflow (4, 1, 1, 2)",
        "SeparableConv2D(kernel_initializer=) is obsolete and ignored",
    ),
    "subclasses that hand on arguments": (
        """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
class Freezable(keras.layers.BatchNormalization):
    def call(self, *args, **kwargs):
        return super().call(*args, **kwargs)
class Quiet(keras.layers.Dropout):
    def call(self, x):
        return super().call(x)
layer = Freezable(axis=1)
model = Sequential([Input((8,)), layer, Quiet(0.5), Dense(1)])
model.compile("sgd", "mse")
model.train_on_batch(x, y)
print(np.allclose(layer.moving_mean, 0.01 * x.mean(0), rtol=1e-4))
print((np.array(model.layers[1](np.ones((4, 8)), training=True)) == 0).any(), model.predict(x, verbose=0).std() > 0)
""",
        "True\nTrue True",
        "",
    ),
    "inputs of a first Embedding": (
        """
import os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
from keras.engine.topology import get_source_inputs
model = Sequential([Embedding(10, 4, input_length=6), LSTM(3), Dense(1)])
print(get_source_inputs(model.output)[0].shape, model.output_shape, len(model.weights))
print(Sequential([LSTM(3, input_length=5, input_dim=2)]).input_shape)
""",
        "(None, 6) (None, 1) 6\n(None, 5, 2)",
        "input_length= on a first layer is deprecated",
    ),
    "layers of the first call": (
        """
class Late(Model):
    def call(self, x):
        if not hasattr(self, "last"):
            self.last = Dense(1)
        return self.last(x)
model = Late()
model.compile("sgd", "mse")
losses = model.fit(x, y, epochs=3, verbose=0).history["loss"]
print(len(model.weights), losses[2] < losses[0])
class Anew(Late):
    def call(self, x):
        self.last = Dense(1)
        return self.last(x)
model = Anew()
model(x)
try:
    model(x)
except ValueError as error:
    print("cannot bring in a new Dense" in str(error))
""",
        "2 True\nTrue",
        "Late.last is set after 'late' is built",
    ),
    "kernels of Theano": (
        """
from keras.utils.layer_utils import convert_all_kernels_in_model
model = Sequential([Input((4, 4, 1)), keras.layers.Conv2D(1, 2), Dense(2)])
kernel, *others = model.get_weights()
convert_all_kernels_in_model(model)
print(np.array_equal(model.get_weights()[0], kernel[::-1, ::-1]), np.array_equal(model.get_weights()[2], others[1]))
""",
        "True True",
        "keras.utils.convert_all_kernels_in_model is deprecated",
    ),
    "no validation data": (
        """
model = Sequential([Input((8,)), Dense(1)])
model.compile("sgd", "mse")
print(sorted(model.fit(x, y, validation_data=(x[64:], y[64:]), verbose=0).history))
import tensorflow as tf
batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
print(sorted(model.fit(batches, validation_data=batches.skip(4), verbose=0).history))
""",
        "['loss']\n['loss']",
        "the validation_data hold no samples",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, tmp_path: Path) -> None:
    script, printed, message = SCRIPTS[name]
    path = tmp_path / "script.py"
    path.write_text(HEAD + script)
    process = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(path)], cwd=tmp_path, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == printed
    assert process.stderr.count(message) == 1 or not message, process.stderr


def test_programs_that_refuse_the_backend_hear_how_to_name_one() -> None:
    code = "raise ValueError('Invalid backend: native')"
    process = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", "-c", code], capture_output=True, text=True
    )
    assert "KERAS_BACKEND=tensorflow (or jax, torch) hornbeam run" in process.stderr


# -- elsewhere -----------------------------------------------------------------------------------------------


def test_symbolic_losses_are_minimized_with_those_of_compile() -> None:
    x = np.ones((8, 3), "float32")
    i = hb.Input((3,))
    inner = hb.layers.Dense(2, kernel_initializer="ones")(i)
    extra = hb.layers.Dense(1, name="only_for_the_loss")(inner)
    model = hb.Model(i, hb.layers.Dense(1, kernel_initializer="zeros")(inner))
    model.add_loss([hb.ops.mean(inner), hb.ops.sum(extra * 0)])
    model.add_loss(2 * hb.ops.mean(inner))
    model.compile("sgd", "mse")
    assert model.evaluate(x, np.zeros((8, 1)), verbose=0) == pytest.approx(9.0)
    assert "only_for_the_loss" in [layer.name for layer in model.layers]
    assert np.asarray(model(x)).shape == (8, 1)
    with pytest.warns(UserWarning, match="are not saved"):
        model.get_config()


def test_symbolic_losses_belong_to_functional_models() -> None:
    with pytest.raises(ValueError, match=r"add_loss\(\) got the symbolic tensor"):
        hb.layers.Dense(2).add_loss(hb.Input((3,)))
    i = hb.Input((3,))
    model = hb.Model(i, hb.layers.Dense(1)(i))
    with pytest.raises(ValueError, match="not among the inputs"):
        model.add_loss(hb.ops.sum(hb.Input((3,))))


def test_trainable_holds_at_once() -> None:
    model = hb.Sequential([hb.Input((3,)), hb.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.trainable = False
    before = model.get_weights()[0].copy()
    with pytest.warns(UserWarning, match="no trainable weights"):
        model.train_on_batch(np.ones((4, 3)), np.ones((4, 1)))
    assert np.array_equal(before, model.get_weights()[0])


def test_empty_validation_data_are_refused() -> None:
    model = hb.Sequential([hb.Input((3,)), hb.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="validation_data hold no samples"):
        model.fit(
            np.ones((4, 3)), np.ones((4, 1)), validation_data=(np.ones((0, 3)), np.ones((0, 1))), verbose=0
        )
