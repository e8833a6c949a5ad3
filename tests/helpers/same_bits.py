"""Twenty trainings whose weights have the same bits on every machine, and their hashes.

`python -m tests.helpers.same_bits` prints them, `--write` puts them into tests/engines/same_bits.json.
Data are drawn by `hb.random`: NumPy's generators may change between its versions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers

HASHES = Path(__file__).resolve().parents[1] / "engines" / "same_bits.json"
TRAININGS: dict[str, Callable[[], Sequence[Any]]] = {}


def training(function: Callable[[], Sequence[Any]]) -> Callable[[], Sequence[Any]]:
    TRAININGS[function.__name__] = function
    return function


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.asarray(hb.random.normal(shape, seed=seed), "float32")


def integers(shape: tuple[int, ...], below: int, seed: int = 1) -> np.ndarray:
    return np.asarray(hb.random.randint(shape, 0, below, seed=seed), "int32")


def fitted(
    x: Any, y: Any, parts: Sequence[Any], *, optimizer: Any = "adam", dtype: str | None = None, **fit: Any
) -> list[np.ndarray]:
    """Weights of a `Sequential` classifier, or of a regressor where `y` has floats, after training."""
    hb.utils.set_random_seed(7)
    if dtype:
        hb.config.set_dtype_policy(dtype)
    try:
        model = hb.Sequential([hb.Input(x.shape[1:], dtype=x.dtype.name), *(part() for part in parts)])
    finally:
        hb.config.set_dtype_policy("float32")
    return trained(model, x, y, optimizer=optimizer, **fit)


def trained(model: Any, x: Any, y: Any, *, optimizer: Any = "adam", **fit: Any) -> list[np.ndarray]:
    classes = np.asarray(y).dtype.kind == "i"
    loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True) if classes else "mse"
    model.compile(optimizer, loss)
    model.fit(x, y, **{"batch_size": 8, "epochs": 2, "verbose": 0, **fit})
    return [*model.get_weights(), *model.predict(x, verbose=0)]


@training
def tutorial_net() -> Sequence[Any]:
    parts = [
        lambda: layers.Conv2D(32, 3, activation="relu"),
        lambda: layers.Conv2D(64, 3, activation="relu"),
        lambda: layers.MaxPooling2D(2),
        lambda: layers.Dropout(0.25),
        layers.Flatten,
        lambda: layers.Dense(128, activation="relu"),
        lambda: layers.Dropout(0.5),
        lambda: layers.Dense(10),
    ]
    return fitted(floats(48, 20, 20, 1), integers((48,), 10), parts, optimizer="adadelta")


@training
def residual_net() -> Sequence[Any]:
    hb.utils.set_random_seed(7)
    x = inputs = hb.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
    for stride in (1, 2):
        skip = layers.Conv2D(24, 1, stride)(x)
        x = layers.Conv2D(24, 3, stride, "same")(layers.ReLU()(layers.BatchNormalization()(x)))
        x = layers.Conv2D(24, 3, padding="same")(layers.ReLU()(layers.BatchNormalization()(x))) + skip
    model = hb.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))
    return trained(model, floats(32, 16, 16, 3), integers((32,), 5))


@training
def separable_net() -> Sequence[Any]:
    parts = [
        lambda: layers.Conv2D(16, 3, 2, "same"),
        lambda: layers.DepthwiseConv2D(5, padding="same", activation="silu"),
        lambda: layers.SeparableConv2D(24, 7, padding="same"),
        lambda: layers.GroupNormalization(4),
        layers.GlobalMaxPooling2D,
        lambda: layers.Dense(4),
    ]
    return fitted(floats(16, 40, 40, 3), integers((16,), 4), parts)


@training
def narrow_groups() -> Sequence[Any]:
    parts = [
        lambda: layers.Conv2D(32, 3, padding="same", groups=8, activation="relu"),
        lambda: layers.Conv2D(32, 5, padding="same", groups=4, activation="gelu"),
        layers.GlobalAveragePooling2D,
        lambda: layers.Dense(3),
    ]
    return fitted(floats(8, 72, 72, 16), integers((8,), 3), parts)


@training
def upsampling_net() -> Sequence[Any]:
    parts = [
        lambda: layers.Conv2D(8, 3, 2, "same", activation="elu"),
        lambda: layers.Conv2DTranspose(8, 3, 2, "same", activation="relu"),
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
        lambda: layers.AveragePooling2D(2),
        lambda: layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]
    x = floats(16, 16, 16, 1)
    return fitted(x, np.abs(x) / (1 + np.abs(x)), parts)


@training
def volumes() -> Sequence[Any]:
    parts = [
        lambda: layers.Conv3D(8, 3, activation="tanh"),
        layers.GlobalAveragePooling3D,
        lambda: layers.Dense(2),
    ]
    return fitted(floats(8, 8, 9, 10, 2), integers((8,), 2), parts)


@training
def recurrent_nets() -> Sequence[Any]:
    weights = []
    for cell in (layers.LSTM, layers.GRU, layers.SimpleRNN):
        parts = [
            lambda: layers.Embedding(40, 12, mask_zero=True),
            lambda cell=cell: layers.Bidirectional(cell(16, dropout=0.2)),
            lambda: layers.Dense(4),
        ]
        weights += fitted(integers((32, 20), 40), integers((32,), 4, seed=2), parts)
    return weights


@training
def transformer() -> Sequence[Any]:
    hb.utils.set_random_seed(7)
    tokens = hb.Input((24,), dtype="int32")
    x = layers.Embedding(50, 32)(tokens)
    for _ in range(2):
        attention = layers.MultiHeadAttention(4, 8, dropout=0.1)
        x = layers.LayerNormalization()(x + attention(x, x, use_causal_mask=True))
        mixed = layers.Dense(32)(layers.Dense(64, activation="gelu")(x))
        x = layers.LayerNormalization()(x + layers.Dropout(0.1)(mixed))
    model = hb.Model(tokens, layers.Dense(50)(x))
    optimizer = hb.optimizers.AdamW(1e-3, clipnorm=1.0)
    return trained(model, integers((24, 24), 50), integers((24, 24), 50, seed=2), optimizer=optimizer)


@training
def augmented_images() -> Sequence[Any]:
    parts = [
        lambda: layers.RandomFlip("horizontal"),
        lambda: layers.RandomRotation(0.1),
        lambda: layers.RandomZoom(0.2),
        lambda: layers.RandomContrast(0.2),
        lambda: layers.Conv2D(8, 3, activation="relu"),
        layers.Flatten,
        lambda: layers.Dense(3),
    ]
    return fitted(floats(24, 12, 12, 3), integers((24,), 3), parts)


@training
def texts() -> Sequence[Any]:
    words = np.array(["the", "quick", "fox", "jumps", "über", "lazy", "dogs", "and", "hens"])
    sentences = np.array([" ".join(words[row]) for row in integers((32, 7), len(words))])
    vectorize = layers.TextVectorization(max_tokens=12, output_sequence_length=8)
    vectorize.adapt(sentences)
    parts = [lambda: layers.Embedding(12, 8), lambda: layers.Conv1D(16, 3, activation="relu")]
    parts += [layers.GlobalMaxPooling1D, lambda: layers.Dense(2)]
    return fitted(np.asarray(vectorize(sentences)).astype("int32"), integers((32,), 2, seed=2), parts)


@training
def tables() -> Sequence[Any]:
    space = hb.utils.FeatureSpace(
        {"age": "float_normalized", "job": "string_categorical", "kind": "integer_categorical"},
        output_mode="concat",
    )
    jobs = np.array(["nurse", "smith", "baker"])[integers((40,), 3)]
    columns = {"age": floats(40) * 9 + 40, "job": jobs, "kind": integers((40,), 4, seed=3)}
    space.adapt(hb.data.Dataset.from_tensor_slices(columns).batch(8))
    x = np.asarray(space(columns), "float32")
    parts = [lambda: layers.Dense(32, activation="selu"), lambda: layers.Dense(1)]
    return fitted(x, floats(40, 1, seed=5), parts, optimizer=hb.optimizers.RMSprop(1e-3, momentum=0.9))


@training
def mixed_float16() -> Sequence[Any]:
    parts = [lambda: layers.Conv2D(16, 3, activation="relu"), layers.Flatten, lambda: layers.Dense(5)]
    return fitted(floats(24, 10, 10, 3), integers((24,), 5), parts, dtype="mixed_float16")


@training
def double_precision() -> Sequence[Any]:
    parts = [lambda: layers.Dense(24, activation="softplus"), lambda: layers.Dense(1)]
    x = floats(40, 12).astype("float64")
    return fitted(x, floats(40, 1, seed=2), parts, dtype="float64", optimizer="nadam")


@training
def accumulated_and_averaged() -> Sequence[Any]:
    optimizer = hb.optimizers.SGD(
        hb.optimizers.schedules.CosineDecay(0.1, 30, warmup_target=0.2, warmup_steps=5),
        momentum=0.9, nesterov=True, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.9,
    )  # fmt: skip
    parts = [lambda: layers.Dense(48, activation="mish"), lambda: layers.Dense(3)]
    return fitted(floats(64, 20), integers((64,), 3), parts, optimizer=optimizer, epochs=4)


@training
def lora() -> Sequence[Any]:
    hb.utils.set_random_seed(7)
    model = hb.Sequential([hb.Input((20,)), layers.Dense(32, activation="relu"), layers.Dense(3)])
    for layer in model.layers:
        layer.enable_lora(4)
    return trained(model, floats(40, 20), integers((40,), 3), optimizer="lion")


@training
def resumed() -> Sequence[Any]:
    x, y = floats(48, 10), integers((48,), 3)

    def model() -> Any:
        hb.utils.set_random_seed(7)
        net = hb.Sequential([hb.Input((10,)), layers.Dense(24), layers.Dropout(0.3), layers.Dense(3)])
        net.compile("adamax", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
        return net

    with tempfile.TemporaryDirectory() as folder:
        model().fit(
            x,
            y,
            8,
            epochs=2,
            verbose=0,
            callbacks=[hb.callbacks.BackupAndRestore(folder, delete_checkpoint=False)],
        )
        net = model()
        net.fit(x, y, 8, epochs=4, verbose=0, callbacks=[hb.callbacks.BackupAndRestore(folder)])
    return net.get_weights()


@training
def streamed() -> Sequence[Any]:
    hb.utils.set_random_seed(7)
    x, y = floats(64, 10), integers((64,), 3)
    data = hb.data.Dataset.from_tensor_slices((x, y)).shuffle(32, seed=5).repeat(2).batch(8).prefetch(2)
    model = hb.Sequential([hb.Input((10,)), layers.Dense(24, activation="swish"), layers.Dense(3)])
    model.compile("ftrl", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data, epochs=2, verbose=0)
    return model.get_weights()


@training
def own_train_step() -> Sequence[Any]:
    class Adversarial(hb.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):  # type: ignore[no-untyped-def]
            spread = hb.ops.mean(hb.ops.var(y_pred, axis=0))
            return super().compute_loss(x, y, y_pred, sample_weight, training) - 0.1 * hb.ops.log(spread)

    hb.utils.set_random_seed(7)
    model = Adversarial([hb.Input((10,)), layers.Dense(24, activation="relu"), layers.Dense(3)])
    return trained(model, floats(40, 10), floats(40, 3, seed=2), optimizer="adafactor")


@training
def weighted_classes() -> Sequence[Any]:
    parts = [
        lambda: layers.GaussianNoise(0.1),
        lambda: layers.Dense(200, activation="relu", kernel_regularizer="l2"),
        lambda: layers.UnitNormalization(),
        lambda: layers.Dense(4, kernel_constraint="max_norm"),
    ]
    weights = {0: 1.0, 1: 2.5, 2: 0.3, 3: 1.0}
    return fitted(floats(90, 130), integers((90,), 4), parts, class_weight=weights, batch_size=30)


@training
def functions() -> Sequence[Any]:
    """Functions beyond those of trainings: linear algebra, transforms, sorting, sums."""
    x, ops = floats(3, 40, 40), hb.ops
    square = x @ x.transpose(0, 2, 1) + np.eye(40, dtype="float32")
    results = [
        ops.linalg.cholesky(square),
        ops.linalg.solve(square, x),
        *ops.linalg.qr(x),
        *ops.linalg.eigh(square),
    ]
    results += [*ops.fft((x, x)), ops.logsumexp(x, 1), ops.sort(x), ops.cumsum(x, 2), ops.erfinv(ops.tanh(x))]
    results += [hb.random.gamma((50,), 0.7, seed=3), hb.random.truncated_normal((50,), seed=4)]
    return [np.asarray(result) for result in results]


def digest(values: Sequence[Any]) -> str:
    total = hashlib.sha256()
    for value in values:
        array = np.ascontiguousarray(value)
        assert array.dtype.kind not in "fc" or np.isfinite(array).all()
        total.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return total.hexdigest()[:16]


def hashes() -> dict[str, str]:
    """A hash of each training's weights and predictions."""
    return {name: digest(run()) for name, run in TRAININGS.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    text = json.dumps(hashes(), indent=2) + "\n"
    if parser.parse_args().write:
        HASHES.write_text(text)
    sys.stdout.write(text)
