"""Models that real Keras and Hornbeam both build: `k` is either. For files that go from one to the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Made = tuple[Any, Any, Any]  # model, inputs, targets


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def tutorial(k: Any) -> Made:
    """The net of the MNIST tutorial, narrower."""
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((14, 14, 1)),
            layers.Conv2D(4, kernel_size=(3, 3), activation="relu"),
            layers.Conv2D(6, (3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="tutorial",
    )
    model.compile(k.optimizers.Adadelta(learning_rate=1.0), "categorical_crossentropy", metrics=["accuracy"])
    return model, normal(0, 8, 14, 14, 1), np.eye(10, dtype="float32")[np.arange(8)]


def branches(k: Any) -> Made:
    """Two inputs, a shared layer, operations, named outputs."""
    layers = k.layers
    a, b = k.Input((6,), name="a"), k.Input((4,), name="b")
    shared = layers.Dense(5, activation="tanh", name="shared")
    h = layers.Concatenate()([shared(a[:, :4]), shared(b)])
    h = layers.BatchNormalization()(h)
    scaled = k.ops.exp(h * 0.1) + 1.0
    classes = layers.Dense(3, activation="softmax", name="classes")(scaled)
    value = layers.Dense(1, name="value")(layers.Add()([h, scaled]))
    model = k.Model([a, b], {"classes": classes, "value": value}, name="branches")
    loss = {"classes": "sparse_categorical_crossentropy", "value": "mse"}
    model.compile("adam", loss, loss_weights={"classes": 1.0, "value": 0.5})
    return model, [normal(1, 8, 6), normal(2, 8, 4)], {"classes": np.arange(8) % 3, "value": normal(3, 8, 1)}


def text(k: Any) -> Made:
    """Embeddings with masks, recurrent layers both ways."""
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((7,)),
            layers.Embedding(20, 6, mask_zero=True),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.GRU(5, return_sequences=True),
            layers.SimpleRNN(4),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="text",
    )
    # TensorFlow squares the gradients of a word that stands twice in a batch one by one, so no RMSprop here.
    model.compile("sgd", "binary_crossentropy")
    words = np.random.default_rng(4).integers(0, 20, (8, 7))
    words[:, 0], words[0, 3], words[1, 5:] = 1, 0, 0
    return model, words, (np.arange(8) % 2)[:, None].astype("float32")


def nested(k: Any) -> Made:
    """A functional model and a Sequential, each used twice inside a functional model; a schedule."""
    layers = k.layers
    i = k.Input((5,))
    inner = k.Model(i, layers.Dense(4, activation="relu")(i), name="inner")
    tail = k.Sequential([k.Input((4,)), layers.Dense(3), layers.LayerNormalization()], name="tail")
    x = k.Input((5,))
    h = layers.Concatenate()([tail(inner(x)), tail(inner(x * 2.0))])
    model = k.Model(x, layers.Dense(2)(h), name="nested")
    rate = k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(k.optimizers.SGD(rate, momentum=0.9, nesterov=True), "mse")
    return model, normal(5, 8, 5), normal(6, 8, 2)


def convolutions(k: Any) -> Made:
    """The family of convolutions and what stands around them, regularized and constrained."""
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((12, 12, 4)),
            layers.SeparableConv2D(6, 3, padding="same"),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
            layers.AveragePooling2D(2),
            layers.UpSampling2D(2),
            layers.ZeroPadding2D(1),
            layers.Cropping2D(1),
            layers.GroupNormalization(2),
            layers.LeakyReLU(),
            layers.Reshape((-1, 4)),
            layers.Conv1D(3, 3, dilation_rate=2, padding="causal"),
            layers.Permute((2, 1)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(
                3,
                kernel_regularizer="l2",
                activity_regularizer=k.regularizers.L1(1e-3),
                kernel_constraint=k.constraints.MaxNorm(2.0),
            ),
        ],
        name="convolutions",
    )
    model.compile(k.optimizers.AdamW(1e-3), "mae")
    return model, normal(7, 4, 12, 12, 4), normal(8, 4, 3)


def attention(k: Any) -> Made:
    layers = k.layers
    x = k.Input((5, 8))
    h = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(x, x) + x)
    h = layers.EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d")(h)
    h = layers.GlobalMaxPooling1D()(layers.TimeDistributed(layers.Dense(4))(h))
    model = k.Model(x, layers.Dense(2, activation="gelu")(h), name="attention")
    model.compile("nadam", k.losses.Huber(), metrics=[k.metrics.MeanAbsoluteError(), "mse"])
    return model, normal(9, 4, 5, 8), normal(10, 4, 2)


def normalization(k: Any) -> Made:
    layers = k.layers
    x = normal(11, 8, 6) * 3 + 1
    adapted = layers.Normalization()
    adapted.adapt(x)
    model = k.Sequential(
        [k.Input((6,)), adapted, layers.Rescaling(2.0, offset=1.0), layers.Dense(2)], name="normalization"
    )
    model.compile("lion", "mse")
    return model, x, normal(12, 8, 2)


def wrappers(k: Any) -> Made:
    """Layers that hold layers, and cells that hold cells."""
    layers = k.layers
    model = k.Sequential(
        [
            k.Input((5, 3)),
            layers.TimeDistributed(k.Sequential([k.Input((3,)), layers.Dense(4)])),
            layers.Bidirectional(
                layers.LSTM(3, return_sequences=True),
                backward_layer=layers.GRU(3, return_sequences=True, go_backwards=True),
            ),
            layers.RNN(layers.StackedRNNCells([layers.LSTMCell(4), layers.GRUCell(3)])),
            layers.SpectralNormalization(layers.Dense(2)),
        ],
        name="wrappers",
    )
    model.compile("sgd", "mse")
    return model, normal(18, 4, 5, 3), normal(19, 4, 2)


def stateful(k: Any) -> Made:
    """State that a layer carries from batch to batch is no weight."""
    model = k.Sequential([k.Input(batch_shape=(4, 5, 3)), k.layers.LSTM(3, stateful=True)], name="stateful")
    model.compile("sgd", "mse")
    return model, normal(20, 4, 5, 3), None


def operations(k: Any) -> Made:
    """Functions on symbolic tensors, slices and all."""
    ops = k.ops
    x = k.Input((4,))
    parts = [
        ops.reshape(x, (-1, 2, 2))[:, 0],
        ops.where(x > 0, x, -x)[:, :2] * 2 - 1 / (ops.abs(x[:, 2:]) + 1),
        ops.mean(x, axis=1, keepdims=True) ** 2,
        ops.softmax(x),
        ops.expand_dims(x[:, 0], 1),
        ops.stack([x[:, 0], x[:, -1]], axis=1),
        ops.matmul(x, np.ones((4, 2), "float32")),
    ]
    model = k.Model(x, k.layers.Dense(2)(ops.concatenate(parts, axis=-1)), name="operations")
    model.compile("sgd", "mse")
    return model, normal(21, 4, 4), normal(22, 4, 2)


def untrained(k: Any) -> Made:
    """Compiled, but without a step: Keras has not made the optimizer's slots yet."""
    model = k.Sequential([k.Input((3,)), k.layers.Dense(2)], name="untrained")
    model.compile("adam", "mse")
    return model, normal(13, 4, 3), None


def registered(k: Any) -> type:
    """A registered model with registered layers in an attribute and in a list."""

    @k.saving.register_keras_serializable("exchange")
    class Block(k.layers.Layer):
        def __init__(self, units: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.dense = k.layers.Dense(units)
            self.rest = [k.layers.Dense(units, activation="relu") for _ in range(2)]
            self.named = {"norm": k.layers.LayerNormalization()}

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
            super().build(shape)

        def call(self, x: Any) -> Any:
            x = self.dense(x)
            for layer in self.rest:
                x = layer(x)
            return self.named["norm"](x) * self.scale

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    @k.saving.register_keras_serializable("exchange")
    class Net(k.Model):
        def __init__(self, units: int = 3, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.zeta = Block(units)  # in another order than the alphabet's
            self.head = k.layers.Dense(2)
            self.blocks = [Block(units), Block(units)]

        def call(self, x: Any, training: Any = None) -> Any:
            x = self.zeta(x)
            for block in self.blocks:
                x = block(x)
            return self.head(x)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    return Net


def subclassed(k: Any) -> Made:
    x = normal(14, 8, 4)
    model = registered(k)(4, name="net")
    model(x)
    model.compile("adagrad", "mse")
    return model, x, normal(15, 8, 2)


def optimizer(name: str) -> Callable[[Any], Made]:
    def make(k: Any) -> Made:
        model = k.Sequential([k.Input((4,)), k.layers.Dense(5), k.layers.Dense(2)], name=name.lower())
        model.compile(getattr(k.optimizers, name)(), "mse")
        return model, normal(16, 8, 4), normal(17, 8, 2)

    return make


MODELS: dict[str, Callable[[Any], Made]] = {
    build.__name__: build
    for build in (
        tutorial, branches, text, nested, convolutions, attention, normalization, wrappers, stateful,
        operations,
        untrained, subclassed,
    )
}  # fmt: skip
MODELS |= {
    name: optimizer(name)
    for name in (
        "SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Adafactor", "Nadam", "Ftrl",
        "Lion",
        "Lamb", "Muon",
    )
}  # fmt: skip


def flat(predictions: Any) -> np.ndarray:
    """Predictions of one or of several named outputs as one array."""
    if isinstance(predictions, dict):
        return np.concatenate([np.ravel(predictions[name]) for name in sorted(predictions)])
    return np.ravel(predictions)


def losses(k: Any, path: str, x: Any, y: Any) -> np.ndarray:
    """Of a loaded model, as it is and after one more update; dropout would make the second one random."""
    model = k.models.load_model(path)
    before = np.ravel(model.test_on_batch(x, y))
    if any(isinstance(layer, k.layers.Dropout) for layer in model.layers):
        return before
    model.train_on_batch(x, y)
    return np.concatenate([before, np.ravel(model.test_on_batch(x, y))])


def write(k: Any, folder: Any) -> None:
    """Train every model for two steps, save it, and note what it predicts and its losses from there on."""
    expected: dict[str, np.ndarray] = {}
    for name, make in MODELS.items():
        model, x, y = make(k)
        for _ in range(0 if y is None else 2):
            model.train_on_batch(x, y)
        model.save(f"{folder}/{name}.keras")
        expected[name] = flat(model.predict(x, verbose=0))
        if y is not None:
            expected[f"{name} losses"] = losses(k, f"{folder}/{name}.keras", x, y)
    np.savez_compressed(f"{folder}/expected.npz", **expected)


def differences(k: Any, folder: Any) -> dict[str, float]:
    """Load every model that the other library wrote: the largest differences of predictions and of losses."""
    registered(k)
    actual: dict[str, float] = {}
    with np.load(f"{folder}/expected.npz") as expected:
        for name, make in MODELS.items():
            path = f"{folder}/{name}.keras"
            _, x, y = make(k)
            predicted = flat(k.models.load_model(path).predict(x, verbose=0))
            actual[name] = float(np.abs(predicted - expected[name]).max())
            if y is not None:
                loss = losses(k, path, x, y)
                actual[f"{name} losses"] = float(np.abs(loss - expected[f"{name} losses"]).max())
    return actual
