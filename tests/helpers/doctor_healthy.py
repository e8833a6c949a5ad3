"""Small trainings of all kinds, with which nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers, losses, ops, optimizers, regularizers
from tests.helpers.doctor_parts import (
    CX,
    CY,
    Fit,
    X,
    Y,
    blobs,
    compiled,
    conv,
    images,
    net,
    rings,
    run,
    sequences,
    sgd,
    stacked,
)


def transfer() -> Fit:
    base = net(hidden=(32, 32))
    base.fit(X, Y, epochs=5, verbose=0)
    body = hb.Sequential(base.layers[:-1])
    body.trainable = False
    return run(compiled([hb.Input((8,)), body, layers.Dense(2, "softmax")]), X, (Y > 1).astype("int32"))


def fine_tuned() -> Fit:
    model = net()
    model.fit(X, Y, epochs=10, verbose=0)
    model.compile(optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return run(model, X, Y, epochs=8)


def autoencoder() -> Fit:
    stack = [
        hb.Input((8,)),
        layers.Dense(32, "relu"),
        layers.Dense(4),
        layers.Dense(32, "relu"),
        layers.Dense(8),
    ]
    return run(compiled(stack, "adam", "mse", ()), X, X, epochs=10)


def linear_autoencoder() -> Fit:
    return run(
        compiled([hb.Input((8,)), layers.Dense(3), layers.Dense(8)], "adam", "mse", ()), X, X, epochs=10
    )


class Gan(hb.Model):
    """Two nets and two optimizers; logs without a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = hb.Sequential([hb.Input((4,)), layers.Dense(32, "relu"), layers.Dense(2)])
        self.judge = hb.Sequential([hb.Input((2,)), layers.Dense(32, layers.LeakyReLU()), layers.Dense(1)])
        self.noise = hb.random.SeedGenerator(7)
        self.d_optimizer, self.g_optimizer = optimizers.Adam(1e-3), optimizers.Adam(1e-3)
        self.bce = losses.BinaryCrossentropy(from_logits=True)

    def call(self, x: Any) -> Any:
        return self.judge(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        z = hb.random.normal((data.shape[0], 4), seed=self.noise)
        fake = self.maker(z)
        real_score, fake_score = self.judge(data), self.judge(ops.stop_gradient(fake))
        d_loss = self.bce(ops.ones_like(real_score), real_score) + self.bce(
            ops.zeros_like(fake_score), fake_score
        )
        weights = self.judge.trainable_variables
        self.d_optimizer.apply(hb.gradients(d_loss, weights), weights)
        score = self.judge(fake)
        g_loss = self.bce(ops.ones_like(score), score)
        weights = self.maker.trainable_variables
        self.g_optimizer.apply(hb.gradients(g_loss, weights), weights)
        return {"d_loss": d_loss, "g_loss": g_loss}


def gan() -> Fit:
    model = Gan()
    model.compile()
    return run(model, rings()[0], epochs=10)


class OwnStep(hb.Model):
    """As the guide to customizing fit() has it."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        weights = self.trainable_weights
        self.optimizer.apply(hb.gradients(loss, weights), weights)
        return {"loss": loss}


def own_step() -> Fit:
    x = hb.Input((8,))
    model = OwnStep(x, layers.Dense(4, "softmax")(layers.Dense(32, "relu")(x)))
    model.compile("adam", "sparse_categorical_crossentropy")
    return run(model, X, Y)


class Variational(hb.Model):
    """A variational autoencoder, whose losses come out of add_loss alone."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = layers.Dense(32, "relu")
        self.mean, self.spread = layers.Dense(2), layers.Dense(2)
        self.decoder = hb.Sequential([hb.Input((2,)), layers.Dense(32, "relu"), layers.Dense(8)])
        self.noise = hb.random.SeedGenerator(3)

    def call(self, x: Any) -> Any:
        h = self.encoder(x)
        mean, spread = self.mean(h), self.spread(h)
        z = mean + ops.exp(0.5 * spread) * hb.random.normal(mean.shape, seed=self.noise)
        result = self.decoder(z)
        kl = -0.5 * ops.sum(1 + spread - ops.square(mean) - ops.exp(spread), axis=-1)
        self.add_loss(ops.mean(ops.sum(ops.square(x - result), axis=-1)) + ops.mean(kl))
        return result


def variational() -> Fit:
    model = Variational()
    model.compile("adam")
    return run(model, X, epochs=8)


def recurrent(kind: Any) -> Callable[[], Fit]:
    def make() -> Fit:
        x, y = sequences()
        stack = [hb.Input((12, 2)), kind(16), layers.Dense(1, "sigmoid")]
        return run(compiled(stack, "adam", "binary_crossentropy"), x, y, epochs=8)

    return make


def texts() -> Fit:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 200, (256, 20))
    y = (np.isin(x, np.arange(1, 20)).sum(axis=1) > 1).astype("float32")
    stack = [
        layers.Embedding(200, 16),
        layers.GlobalAveragePooling1D(),
        layers.Dense(16, "relu"),
        layers.Dense(1, "sigmoid"),
    ]
    return run(compiled(stack, optimizers.Adam(0.01), "binary_crossentropy"), x, y, epochs=10)


def transformer() -> Fit:
    x = hb.Input((12, 2))
    h = layers.Dense(16)(x)
    h = layers.LayerNormalization()(h + layers.MultiHeadAttention(2, 8)(h, h))
    h = layers.LayerNormalization()(h + layers.Dense(16)(layers.Dense(32, "gelu")(h)))
    model = hb.Model(x, layers.Dense(1, "sigmoid")(layers.GlobalAveragePooling1D()(h)))
    return run(compiled(model, "adam", "binary_crossentropy"), *sequences(), epochs=6)


def residual() -> Fit:
    """Blocks whose last scale begins at zero, as in deep residual nets."""
    x = hb.Input((12, 12, 1))
    h = layers.Conv2D(8, 3, padding="same")(layers.Rescaling(1 / 255)(x))
    for _ in range(3):
        b = layers.Conv2D(8, 3, padding="same", use_bias=False)(layers.ReLU()(layers.BatchNormalization()(h)))
        h = layers.Add()([h, layers.BatchNormalization(gamma_initializer="zeros")(b)])
    model = hb.Model(x, layers.Dense(2, "softmax")(layers.GlobalAveragePooling2D()(h)))
    return run(compiled(model), *images(), epochs=4)


def mobile() -> Fit:
    """Weights before normalizations: their gradients are large, and do no harm."""
    x = np.random.default_rng(0).normal(size=(64, 32, 32, 3)).astype("float32")
    model = hb.applications.MobileNetV2(input_shape=(32, 32, 3), weights=None, classes=3, alpha=0.35)
    return run(compiled(model), x, np.arange(64) % 3, epochs=2, batch_size=16)


def texts_as_they_come() -> Fit:
    words = np.array(["good film", "bad film", "very good", "very bad"] * 16)
    split = layers.TextVectorization(max_tokens=20, output_sequence_length=4)
    split.adapt(words)
    stack = [
        hb.Input((1,), dtype="string"), split, layers.Embedding(20, 8), layers.GlobalAveragePooling1D(),
        layers.Dense(1, "sigmoid"),
    ]  # fmt: skip
    return run(compiled(stack, "adam", "binary_crossentropy"), words[:, None], np.array([1, 0] * 32))


def stateful() -> Fit:
    x, y = sequences(64)
    stack = [hb.Input(batch_shape=(32, 12, 2)), layers.LSTM(8, stateful=True), layers.Dense(1, "sigmoid")]
    return run(compiled(stack, "adam", "binary_crossentropy"), x, y, shuffle=False)


def segmentation() -> Fit:
    stack = [
        hb.Input((12, 12, 1)), layers.Rescaling(1 / 255),
        layers.Conv2D(8, 3, padding="same", activation="relu"), layers.Conv2D(2, 1, activation="softmax"),
    ]  # fmt: skip
    x, _ = images(128)
    return run(compiled(stack), x, (x[..., 0] > 120).astype("int32"))


def augmented() -> Fit:
    stack = [
        hb.Input((12, 12, 1)), layers.RandomFlip("horizontal"), layers.RandomTranslation(0.1, 0.1),
        layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu"), layers.Flatten(),
        layers.Dense(2, "softmax"),
    ]  # fmt: skip
    return run(compiled(stack), *images())


def deep() -> Fit:
    block = (lambda: layers.Dense(32), layers.LayerNormalization, lambda: layers.Activation("tanh"))
    return run(stacked(*(make() for _ in range(8) for make in block)), X, Y)


def separable() -> Fit:
    stack = [
        hb.Input((12, 12, 1)), layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu"),
        layers.DepthwiseConv2D(3), layers.Conv2D(16, 1, activation="relu"), layers.GlobalMaxPooling2D(),
        layers.Dense(2, "softmax"),
    ]  # fmt: skip
    return run(compiled(stack, optimizers.Adam(0.01)), *images(), epochs=6)


def heads() -> Fit:
    x = hb.Input((8,))
    h = layers.Dense(32, "relu")(x)
    kind, size = layers.Dense(4, "softmax", name="kind")(h), layers.Dense(1, name="size")(h)
    model = hb.Model(x, {"kind": kind, "size": size})
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    return run(model, X, {"kind": Y, "size": X.sum(axis=1)})


def one_head_of_two() -> Fit:
    x = hb.Input((8,))
    h = layers.Dense(32, "relu")(x)
    model = hb.Model(x, [layers.Dense(4, "softmax", name="kind")(h), layers.Dense(1, name="size")(h)])
    model.compile("adam", ["sparse_categorical_crossentropy", None])
    return run(model, X, [Y, np.zeros(len(Y))])


def siamese() -> Fit:
    a, b = hb.Input((8,)), hb.Input((8,))
    tower = hb.Sequential([hb.Input((8,)), layers.Dense(32, "relu"), layers.Dense(8)])
    model = hb.Model([a, b], layers.Dense(1, "sigmoid")(ops.square(tower(a) - tower(b))))
    order = np.random.default_rng(0).permutation(len(X))
    y = (Y[order] == Y).astype("float32")
    return run(compiled(model, "adam", "binary_crossentropy"), [X, X[order]], y, epochs=8)


def generator() -> Iterator[Any]:
    while True:
        for at in range(0, 512, 32):
            yield X[at : at + 32], Y[at : at + 32]


def mixed(policy: str) -> Callable[[], Fit]:
    def make() -> Fit:
        hb.mixed_precision.set_global_policy(policy)
        try:
            return run(net(last=None, loss=losses.SparseCategoricalCrossentropy(from_logits=True)), X, Y)
        finally:
            hb.mixed_precision.set_global_policy("float32")

    return make


def with_validation(epochs: int = 12, **options: Any) -> Fit:
    return run(net(), X[:384], Y[:384], epochs=epochs, validation_data=(X[384:], Y[384:]), **options)


def stopped_early() -> Fit:
    model, (x, y) = net(30, 2, hidden=(128, 128)), blobs(80, 30, 2, apart=1.0)
    test = blobs(400, 30, 2, apart=1.0, seed=99)

    def fit(doctor: hb.callbacks.Doctor) -> None:
        stop = hb.callbacks.EarlyStopping(patience=30, restore_best_weights=True)
        model.fit(x, y, batch_size=16, epochs=40, verbose=0, validation_data=test, callbacks=[stop, doctor])

    return fit


def warmed_up() -> Fit:
    schedule = optimizers.schedules.CosineDecay(0.0, 100, warmup_target=0.01, warmup_steps=40)
    return run(net(optimizer=optimizers.Adam(schedule)), X, Y, epochs=8)


def overlapping() -> Fit:
    x, y = blobs(1024, 4, 2, apart=1.3)
    return run(net(4, 2, hidden=(16,)), x, y, epochs=15)


def logistic() -> Fit:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 4)).astype("float32")
    y = (rng.uniform(size=1024) < 1 / (1 + np.exp(-x @ np.array([1.5, -1, 0.5, 0])))).astype("float32")
    return run(
        net(4, 1, hidden=(), last="sigmoid", loss="binary_crossentropy", optimizer=sgd(0.1)), x, y, epochs=15
    )


def rare_and_weighted() -> Fit:
    y = (X[:, 0] > 1.5).astype("float32")
    model = net(classes=1, last="sigmoid", loss="binary_crossentropy")
    return run(model, X, y, class_weight={0: 1.0, 1: 12.0})


def normalized_table() -> Fit:
    x = X * np.array([40, 50000, 0.1, 1, 1, 1, 1, 1], "float32") + 100
    norm = layers.Normalization()
    norm.adapt(x)
    return run(compiled([hb.Input((8,)), norm, layers.Dense(32, "relu"), layers.Dense(4, "softmax")]), x, Y)


def batch_normalized() -> Fit:
    stack = [
        hb.Input((8,)),
        layers.Dense(32),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dense(4, "softmax"),
    ]
    return run(compiled(stack), X, Y)


# Nothing is wrong with these.
HEALTHY: dict[str, Callable[[], Fit]] = {
    "MLP": lambda: run(net(), X, Y, epochs=12),
    "MLP with validation": with_validation,
    "MLP, tanh": lambda: run(net(activation="tanh", optimizer=sgd(0.1)), X, Y),
    "MLP, five layers": lambda: run(net(hidden=(32,) * 5), X, Y),
    "MLP with SELU and alpha dropout": lambda: run(
        stacked(layers.Dense(32, "selu", kernel_initializer="lecun_normal"), layers.AlphaDropout(0.1)), X, Y
    ),
    "logits": lambda: run(net(last=None, loss=losses.SparseCategoricalCrossentropy(from_logits=True)), X, Y),
    "SGD with momentum": lambda: run(net(optimizer=sgd(0.05, momentum=0.9, nesterov=True)), X, Y, epochs=8),
    "penalties of 1e-3": lambda: run(net(kernel_regularizer=regularizers.L2(1e-3)), X, Y, epochs=12),
    "clipped": lambda: run(net(optimizer=optimizers.Adam(clipnorm=1.0)), X, Y),
    "one-hot with label smoothing": lambda: run(
        net(loss=losses.CategoricalCrossentropy(label_smoothing=0.1)), X, np.eye(4, dtype="float32")[Y]
    ),
    "regression": lambda: run(net(4, 1, last=None, loss="mse", metrics=("mae",)), CX, CY, epochs=15),
    "regression with Huber's loss": lambda: run(net(4, 1, last=None, loss="huber", metrics=()), CX, CY),
    "linear regression": lambda: run(
        net(4, 1, hidden=(), last=None, loss="mse", metrics=(), optimizer=sgd(0.05)), CX,
        CX @ np.array([1.0, -2.0, 0.5, 3.0]), epochs=10,
    ),
    "logistic regression": logistic,
    "classes that overlap": overlapping,
    "CNN": lambda: run(conv(), *images(), epochs=6),
    "CNN, divided before": lambda: run(
        conv(scaled=False), images()[0] / 255.0, images()[1], epochs=6
    ),
    "separable convolutions": separable,
    "residual blocks": residual,
    "MobileNetV2": mobile,
    "segmentation": segmentation,
    "augmented": augmented,
    "eight normalized layers": deep,
    "texts as they come": texts_as_they_come,
    "LSTM with states": stateful,
    "several classes at once": lambda: run(
        net(last="sigmoid", loss="binary_crossentropy"), X, (X[:, :4] > 0).astype("float32")
    ),
    "LSTM": recurrent(layers.LSTM),
    "GRU": recurrent(layers.GRU),
    "SimpleRNN": recurrent(layers.SimpleRNN),
    "bidirectional": recurrent(lambda units: layers.Bidirectional(layers.LSTM(units // 2))),
    "words": texts,
    "attention": transformer,
    "batch normalization": batch_normalized,
    "one tiny batch": lambda: run(net(), X[:8], Y[:8], epochs=30, batch_size=8),
    "a few updates": lambda: run(net(optimizer=sgd(0.01)), X[:40], Y[:40], epochs=2),
    "one epoch": lambda: run(net(), X, Y, epochs=1),
    "one sample at a time": lambda: run(net(optimizer=sgd(0.02)), X[:128], Y[:128], epochs=3, batch_size=1),
    "transfer": transfer,
    "fine-tuning": fine_tuned,
    "autoencoder": autoencoder,
    "linear autoencoder": linear_autoencoder,
    "variational autoencoder": variational,
    "two nets against each other": gan,
    "a step of one's own": own_step,
    "two heads": heads,
    "a loss for one head": one_head_of_two,
    "siamese": siamese,
    "a rare class, weighted": rare_and_weighted,
    "a rare class, with recall": lambda: run(
        net(classes=1, last="sigmoid", loss="binary_crossentropy", metrics=(hb.metrics.Recall(),)), X,
        (X[:, 0] > 1.5).astype("float32"),
    ),
    "a table with Normalization": normalized_table,
    "bfloat16": mixed("mixed_bfloat16"),
    "float16": mixed("mixed_float16"),
    "a Dataset": lambda: run(
        net(), hb.data.Dataset.from_tensor_slices((X, Y)).shuffle(512, seed=1).batch(32), batch_size=None
    ),
    "a Dataset with a function": lambda: run(
        net(), hb.data.Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x * 1.0, y)).batch(32),
        batch_size=None,
    ),
    "a generator": lambda: run(net(), generator(), batch_size=None, steps_per_epoch=16),
    "line by line": lambda: run(eagerly(), X[:128], Y[:128], epochs=3),
    "warm-up": warmed_up,
    "early stopping": stopped_early,
    "held-out part": lambda: run(net(), X, Y, validation_split=0.2, epochs=8),
    "sample weights": lambda: run(net(), X, Y, sample_weight=np.linspace(0.5, 1.5, len(X))),
    "sorted, and shuffled by fit": lambda: run(net(), X[np.argsort(Y)], np.sort(Y)),
}  # fmt: skip


def eagerly() -> hb.Model:
    model = net()
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    return model
