# ruff: noqa: E501
"""Names of Keras 1 and 2 under `hornbeam run`: they work, and a line names the replacement."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# (script, its output, messages on stderr)
SCRIPTS = [
    (
        """
from keras.models import Sequential
from keras.layers.core import Dense, Activation, Dropout, Flatten
from keras.layers.convolutional import Convolution2D, MaxPooling2D
from keras.layers.normalization import BatchNormalization
from keras.utils import np_utils
from keras.optimizers import SGD
import numpy as np
rng = np.random.default_rng(0)
model = Sequential()
model.add(Convolution2D(4, 3, 3, border_mode='same', subsample=(2, 2), dim_ordering='tf', input_shape=(8, 8, 1)))
model.add(BatchNormalization(mode=0))
model.add(Activation('relu'))
model.add(MaxPooling2D(pool_size=(2, 2), border_mode='valid'))
model.add(Dropout(0.25))
model.add(Flatten())
model.add(Dense(output_dim=3, init='uniform', activation='softmax'))
optimizer = SGD(lr=0.1, decay=1.0, momentum=0.9, nesterov=True)
model.compile(loss='categorical_crossentropy', optimizer=optimizer, metrics=['accuracy'])
x, y = rng.random((64, 8, 8, 1)), np_utils.to_categorical(rng.integers(0, 3, 64), 3)
found = model.fit(x, y, nb_epoch=2, batch_size=64, verbose=0, validation_split=0.25)
print(len(found.history['acc']), model.predict_classes(x).shape, f"{float(optimizer.lr):.4f}")
""",
        "2 (64,) 0.1000",
        [
            "keras.layers.core is deprecated, use keras.layers",
            "keras.utils.np_utils is deprecated, use keras.utils",
            "Conv2D(border_mode=) is deprecated, use padding=",
            "Conv2D(dim_ordering=) is deprecated, use data_format=",
            "input_shape= on a first layer is deprecated, use keras.Input(shape) before it",
            "Dense(output_dim=) is deprecated, use units=",
            "lr= is deprecated, use learning_rate=",
            "InverseTimeDecay",
            "Model.fit(nb_epoch=) is deprecated, use epochs=",
            "Convolution2D(filters, nb_row, nb_col) is deprecated, use Conv2D(filters, (nb_row, nb_col))",
            "BatchNormalization(mode=) is obsolete and ignored",
            "validation_split= draws a stratified sample here, Keras takes the last rows",
            "history['acc'] is deprecated, use history['accuracy']",
            "np.argmax(model.predict(x), axis=-1)",
        ],
    ),
    (
        """
from keras import backend as K
from keras.engine import Layer, Model
from keras.engine.topology import InputSpec
from keras.layers import *
from keras.layers import merge
import numpy as np
a, b = Input((3,)), Input((3,))
model = Model(input=[a, b], output=Dense(2)(merge([a, b], mode='concat')))
inner = K.function([a, b, K.learning_phase()], [model.layers[2].output])
rows = np.ones((4, 3))
print(K.image_data_format(), K.image_dim_ordering(), K.int_shape(model.output), inner([rows, rows, 0])[0].shape)
v = K.variable([[1.0, -2.0]])
print(K.get_value(K.sum(K.clip(v, 0.0, K.epsilon() + 5))), K.eval(K.flatten(K.dot(v, K.ones((2, 1))))))
K.set_value(v, [[3.0, 4.0]])
print(K.get_value(K.l2_normalize(v, axis=-1)), K.get_value(K.permute_dimensions(v, (1, 0))).shape)
""",
        "channels_last tf (None, 2) (4, 6)\n1.0 [-1.]\n[[0.6 0.8]] (2, 1)",
        [
            "keras.layers.merge is deprecated",
            "keras.engine is deprecated, use keras",
            "keras.engine.topology is deprecated, use keras",
            "Model(input=) is deprecated, use inputs=",
            "keras.backend.function is deprecated, use keras.Model(inputs, outputs)",
            "keras.backend.clip is deprecated, use keras.ops.clip",
        ],
    ),
    (
        """
from keras.preprocessing.text import Tokenizer, text_to_word_sequence
from keras.preprocessing.sequence import pad_sequences, TimeseriesGenerator
import numpy as np
tokenizer = Tokenizer(num_words=4, oov_token='?')
tokenizer.fit_on_texts(['the cat sat', 'the dog sat', 'The end!'])
print(tokenizer.word_index, pad_sequences(tokenizer.texts_to_sequences(['the sat end', 'dog'])).tolist())
print(text_to_word_sequence('One, two;three'), tokenizer.texts_to_matrix(['the the cat'], mode='count').tolist())
windows = TimeseriesGenerator(np.arange(10), np.arange(10) * 10, length=3, batch_size=4)
print(len(windows), windows[0][0].tolist(), windows[1][1].tolist())
""",
        "{'?': 1, 'the': 2, 'sat': 3, 'cat': 4, 'dog': 5, 'end': 6} [[2, 3, 1], [0, 0, 1]]\n"
        "['one', 'two', 'three'] [[0.0, 1.0, 2.0, 0.0]]\n"
        "2 [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]] [70, 80, 90]",
        ["keras.preprocessing.text.Tokenizer is deprecated, use keras.layers.TextVectorization"],
    ),
    (
        """
import keras
from keras.preprocessing.image import ImageDataGenerator, img_to_array
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.random((10, 8, 8, 3)), rng.integers(0, 2, 10)
plain = ImageDataGenerator(rescale=2.0).flow(x, y, batch_size=4, shuffle=False)
first, labels = next(plain)
print(len(plain), np.allclose(first, 2 * x[:4]), labels.tolist() == y[:4].tolist())
turned = ImageDataGenerator(rotation_range=40, zoom_range=0.2, shear_range=10, horizontal_flip=True)
model = keras.Sequential([keras.layers.Flatten(input_shape=(8, 8, 3)), keras.layers.Dense(1, activation='sigmoid')])
model.compile(keras.optimizers.legacy.Adam(lr=1e-3), 'binary_crossentropy')
history = model.fit_generator(turned.flow(x, y, batch_size=5, seed=1), steps_per_epoch=2, epochs=3, verbose=0)
print(len(history.history['loss']), model.evaluate_generator(plain) > 0)
centred = ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True)
centred.fit(x)
batch = centred.flow(x, batch_size=10, shuffle=False)[0]
print(np.allclose(batch.mean((0, 1, 2)), 0, atol=1e-5), np.allclose(batch.std((0, 1, 2)), 1, atol=1e-4))
""",
        "3 True True\n3 True\nTrue True",
        [
            "keras.optimizers.legacy is deprecated, use keras.optimizers",
            "Model.fit_generator() is deprecated, use Model.fit()",
        ],
    ),
    (
        """
import numpy as np
import tensorflow as tf
from tensorflow import keras

class Own(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compiled_loss(y, self(x, training=True), regularization_losses=self.losses)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.compiled_metrics.update_state(y, self(x))
        return {m.name: m.result() for m in self.metrics}

x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
first = keras.Input((3,))
own = Own(first, keras.layers.Dense(1, kernel_regularizer="l2", kernel_initializer="ones")(first))
own.compile("sgd", "mse", metrics=["mae"])
history = own.fit(x, x[:, :1], batch_size=32, verbose=0).history
expected = ((x[:, 1:].sum(1)) ** 2).mean() + 0.03
print(sorted(history), np.isclose(history["loss"][0], expected, rtol=1e-4))
""",
        "['loss', 'mae'] True",
        [
            "Model.compiled_loss(y, y_pred) is deprecated, use Model.compute_loss(y=y, y_pred=y_pred)",
            "Model.compiled_metrics.update_state(y, y_pred) is deprecated, use Model.compute_metrics(",
        ],
    ),
    (
        """
import keras
model = keras.Sequential([keras.Input((2,), name="first"), keras.layers.Dense(3)])
try:
    model.zero_grad()
except AttributeError as error:
    print("torch_module(model)" in str(error), hasattr(model, "parameters"))
""",
        "True False",
        [],
    ),
    (
        """
import os
import tempfile
import keras
import numpy as np
os.chdir(tempfile.mkdtemp())
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
other = keras.models.clone_model(model)
model.save_weights("./checkpoints/first")
other.load_weights("./checkpoints/first")
model.save("folder")
again = keras.models.load_model("folder")
x = np.ones((1, 2))
print(np.allclose(model(x), other(x)), np.allclose(model(x), again(x)))
""",
        "True True",
        [
            "Keras 2 wrote weights to a checkpoint of TensorFlow named './checkpoints/first'",
            "Keras 2 wrote a SavedModel of TensorFlow to the folder 'folder'",
        ],
    ),
    (  # layers began with the weights of their constructor
        """
import numpy as np
from keras.layers import LSTM, Conv2D, Dense, TimeDistributed
from keras.models import Sequential
kernel, bias = np.full((3, 2), 2.0), np.array([1.0, -1.0])
model = Sequential([Dense(2, input_shape=(3,), weights=[kernel, bias], trainable=False)])
print(model.predict(np.ones((1, 3)), verbose=0).tolist(), "weights" in model.layers[0].get_config())
print(TimeDistributed(Dense(2, weights=[kernel, bias]))(np.ones((1, 1, 3))).numpy().tolist())
print(Conv2D(1, 2, use_bias=False, weights=[np.ones((2, 2, 1, 1))])(np.ones((1, 2, 2, 1))).numpy().ravel())
gates = [np.ones((3, 8)), np.zeros((2, 8)), np.zeros(8)]
layer = LSTM(2, weights=gates)
layer.build((None, 4, 3))
print([float(w.mean()) for w in layer.get_weights()])
try:
    Dense(2, weights=[kernel])(np.ones((1, 3)))
except ValueError as error:
    print("has 2 weights, set_weights got 1 arrays" in str(error))
""",
        "[[7.0, 5.0]] False\n[[[7.0, 5.0]]]\n[4.]\n[1.0, 0.0, 0.0]\nTrue",
        ["weights= of a layer is deprecated, use set_weights() once it is built"],
    ),
    (  # weights of layers were variables of TensorFlow, whose parts are assigned
        """
import keras
import tensorflow as tf
layer = keras.layers.Dense(2)
layer.build((None, 2))
layer.kernel[:].assign(tf.ones((2, 2)))
layer.weights[0][0, 0].assign(5.0)
print(layer.kernel.numpy().tolist(), float(layer.kernel[0, 0] * 2))
""",
        "[[5.0, 1.0], [1.0, 1.0]] 10.0",
        [],
    ),
    (  # a layer that is called several times has the inputs and outputs of each call
        """
import keras
a, b = keras.Input((3,)), keras.Input((3,))
dense, add = keras.layers.Dense(2), keras.layers.Add()
first, second = dense(a), dense(b)
total = add([first, second])
add([second, a[:, :2]])
print(dense.get_input_at(0) is a, dense.get_input_at(1) is b, add.get_input_at(0) == [first, second])
print(dense.get_output_at(0) is first, dense.get_output_at(1) is second, add.get_output_at(0) is total)
print(dense.input_shape, dense.output_shape, add.input_shape)
model = keras.Model([a, b], [dense.get_output_at(1), add.get_output_at(0)])
print(model.output_shape)
""",
        "True True True\nTrue True True\n(None, 3) (None, 2) [(None, 2), (None, 2)]\n[(None, 2), (None, 2)]",
        [
            "layer.get_output_at(i) is deprecated, use layer.output, or the tensor that the call returned",
            "layer.get_input_at(i) is deprecated, use layer.input, or the tensor that the layer was called on",
            "layer.input_shape is deprecated, use layer.input.shape",
            "layer.output_shape is deprecated, use layer.output.shape",
        ],
    ),
    (  # what is refused elsewhere is said here
        """
import keras
import numpy as np
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
model.compile("sgd", keras.losses.CategoricalCrossentropy())
print(len(model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0).history["loss"]))
""",
        "1",
        ["gives any numbers (logits), but the loss", "y is not one-hot: sample 0 has 3 ones"],
    ),
]


@pytest.mark.parametrize(("script", "printed", "messages"), SCRIPTS)
def test_legacy_names(tmp_path: Path, script: str, printed: str, messages: list[str]) -> None:
    path = tmp_path / "script.py"
    path.write_text(script)
    process = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(path)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == printed
    for message in messages:
        assert process.stderr.count(message) == 1, f"{message}\n{process.stderr}"


def test_warnings_name_the_line_of_the_script(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        """
import keras
import numpy as np
model = keras.Sequential([keras.Input((2,)), keras.layers.Flatten()])
model.compile("sgd", "mse")
model.fit(
    np.ones((4, 2)), np.ones((4, 2)), verbose=0
)
"""
    )
    process = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(path)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert f"{path}:6: UserWarning: model 'sequential' has no trainable weights" in process.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import hornbeam as hb; hb.backend.function",
        "import hornbeam as hb; hb.optimizers.SGD(lr=0.1)",
        "import hornbeam as hb; hb.Model.fit_generator",
        "import hornbeam as hb; hb.layers.Dense(output_dim=2)",
        "import hornbeam.layers.core as c; from hornbeam.preprocessing.text import Tokenizer",
    ],
)
def test_legacy_names_do_not_exist_outside(code: str) -> None:
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 1
