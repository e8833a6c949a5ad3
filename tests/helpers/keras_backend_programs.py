"""Programs for official Keras: run with KERAS_BACKEND and a file for the results.

Each returns named arrays, which must not depend on the backend: initial weights are drawn with NumPy, and
nothing is random during training.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

if os.environ["KERAS_BACKEND"] == "hornbeam":
    import hornbeam
    import keras_hornbeam  # noqa: F401 - before keras
import keras
from keras import layers, ops

Results = dict[str, Any]


def set_weights(model: Any, seed: int = 0) -> None:
    """Give a model weights that do not depend on the backend."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        value = 0.3 * rng.normal(size=variable.shape)
        variable.assign(np.asarray(abs(value) if "variance" in variable.name else value, "float32"))


def trained(model: Any, x: Any, y: Any, seed: int = 0, epochs: int = 2, **compiled: Any) -> Results:
    """Train a model, and return its history, evaluation, outputs and weights."""
    set_weights(model, seed)
    model.compile(**{"optimizer": "adam", "loss": "mse", **compiled})
    history = model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0).history
    results = {f"history {name}": values for name, values in history.items()}
    results["evaluate"] = model.evaluate(x, y, batch_size=16, verbose=0)
    outputs = model.predict(x, batch_size=16, verbose=0)
    results |= {f"predict {i}": value for i, value in enumerate(keras.tree.flatten(outputs))}
    return results | {f"weight {i}": value for i, value in enumerate(model.get_weights())}


def numbers(*shape: int, seed: int = 7) -> np.ndarray:
    """Return standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def dense() -> Results:
    """A classifier with metrics, the last batch smaller."""
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(8, activation="relu"), layers.Dense(3, "softmax")]
    )
    y = np.arange(40) % 3
    return trained(
        model,
        numbers(40, 5),
        y,
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        optimizer="sgd",
    )


def convolutional() -> Results:
    """Convolutions, batch normalization and pools."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("gelu"),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(6, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )
    return trained(model, numbers(36, 8, 8, 2), numbers(36, 1), optimizer=keras.optimizers.RMSprop(1e-2))


def recurrent() -> Results:
    """LSTM and GRU, in one operation and in a loop, in both directions, with masks."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(inputs)
    masked = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    plain = layers.LSTM(4, return_sequences=True, go_backwards=True)(layers.Lambda(lambda x: x * 1.0)(x))
    gated = layers.GRU(3)(layers.concatenate([masked, plain]))
    model = keras.Model(inputs, layers.Dense(1)(gated))
    tokens = np.random.default_rng(3).integers(0, 10, (32, 6))
    tokens[:, 4:] *= np.arange(64).reshape(32, 2) % 3 > 0
    return trained(model, tokens, numbers(32, 1))


def attention() -> Results:
    """A transformer block with several inputs and outputs, and losses by name."""
    a, b = keras.Input((5, 8), name="a"), keras.Input((5, 8), name="b")
    x = layers.MultiHeadAttention(2, 4)(a, b)
    x = layers.LayerNormalization()(x + a)
    model = keras.Model(
        {"a": a, "b": b}, {"first": layers.Dense(1, name="f")(x), "second": ops.mean(x, axis=1)}
    )
    x = {"a": numbers(24, 5, 8), "b": numbers(24, 5, 8, seed=8)}
    y = {"first": numbers(24, 5, 1), "second": numbers(24, 8)}
    return trained(
        model, x, y, loss={"first": "mse", "second": "mae"}, loss_weights={"first": 2.0, "second": 1.0}
    )


def optimizer_states() -> Results:
    """Assignments in branches: accumulated gradients, an average of weights, scaled losses."""
    results = {}
    for name, optimizer in {
        "accumulated": keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2),
        "averaged": keras.optimizers.SGD(1e-2, use_ema=True, ema_overwrite_frequency=3),
        "scaled": keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2), dynamic_growth_steps=2),
    }.items():
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(1)])
        part = trained(model, numbers(48, 4), numbers(48, 1), optimizer=optimizer)
        results |= {f"{name} {key}": value for key, value in part.items()}
    return results


class Scaled(layers.Layer):
    """A layer with a state that counts its calls in training."""

    def build(self, shape: Any) -> None:
        """Make the weights."""
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        """Multiply, and add a loss."""
        if training:
            self.calls.assign_add(1.0)
        self.add_loss(0.01 * ops.sum(ops.square(self.scale)))
        return x * self.scale


class Difference(layers.Layer):
    """A layer that compares shapes, also unknown ones."""

    def call(self, x: Any, y: Any) -> Any:
        """Subtract."""
        if x.shape != y.shape:
            raise ValueError(f"shapes differ: {x.shape} and {y.shape}")
        return x - y


def custom_layer() -> Results:
    """Layers of a user, saved and loaded, and called without their state."""
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(Difference()(Scaled()(inputs), inputs)))
    x, y = numbers(32, 4), numbers(32, 1)
    results = trained(model, x, y)
    custom = {"Scaled": Scaled, "Difference": Difference}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("m.keras", "m.h5"):
            path = str(pathlib.Path(folder) / name)
            model.save(path)
            loaded = keras.models.load_model(path, custom_objects=custom, compile=False)
            results[name] = loaded.predict(x, verbose=0)
    trainable = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    outputs, states = model.stateless_call(trainable, others, x, training=True)
    return results | {"stateless": ops.convert_to_numpy(outputs), "state": ops.convert_to_numpy(states[0])}


def shuffled() -> Results:
    """Samples in the order that NumPy's seed decides, in `fit` with and without a callback for each batch."""
    results = {}
    each_batch = keras.callbacks.LambdaCallback(on_train_batch_end=ignore)
    for name, hooks in {"chunks": [], "batches": [each_batch]}.items():
        model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        set_weights(model)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        np.random.seed(11)
        model.fit(numbers(40, 3), numbers(40, 1), batch_size=16, epochs=3, verbose=0, callbacks=hooks)
        results[name] = model.get_weights()[0]
    return results


def ignore(batch: int, logs: Any) -> None:
    """Do nothing at the end of a batch."""


def callbacks() -> Results:
    """Callbacks, validation data, weights of classes, a generator, and single batches."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2, "softmax")])
    set_weights(model)
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    x, y = numbers(40, 3), np.arange(40) % 2
    seen: list[float] = []
    log = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0)
    history = model.fit(
        x, y, batch_size=16, epochs=5, verbose=0, shuffle=False, class_weight={0: 1.0, 1: 2.0},
        validation_data=(x, y), callbacks=[log, rate, stop],
    ).history  # fmt: skip

    def batches() -> Any:
        for start in range(0, 40, 8):
            yield x[start : start + 8], y[start : start + 8]

    more = model.fit(batches(), steps_per_epoch=4, verbose=0).history
    single = model.train_on_batch(x, y, return_dict=True)
    return {
        "seen": seen, "loss": history["loss"], "val_loss": history["val_loss"], "more": more["loss"],
        "single": single["loss"], "rate": history["learning_rate"],
    }  # fmt: skip


def control_flow() -> Results:
    """Branches and loops of keras.ops, with variables that they assign, and derivatives of them."""
    count = keras.Variable(0.0, trainable=False)
    x = ops.convert_to_tensor(numbers(5))

    def step(carry: Any, value: Any) -> Any:
        return carry * 0.5 + value, carry

    last, outputs = ops.scan(step, ops.zeros(()), x)
    total = ops.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + ops.cast(i, "float32")), (0, 0.0))[1]
    count.assign(ops.cond(last > 100.0, lambda: count + 1.0, lambda: count + 2.0))
    results = {"last": last, "outputs": outputs, "total": total, "count": count.value}
    results["mapped"] = ops.vectorized_map(lambda v: v * 2.0, x)
    return {name: ops.convert_to_numpy(value) for name, value in results.items()}


def float8() -> Results:
    """Casts of all magnitudes with their gradients, and a trained model."""
    values = np.concatenate([numbers(50) * 10.0**power for power in range(-4, 5)]).astype("float32")
    results: Results = {
        name: ops.cast(ops.cast(values, name), "float32") for name in ("float8_e4m3fn", "float8_e5m2")
    }
    model = keras.Sequential([keras.Input((8,)), layers.Dense(6, "relu"), layers.Dense(2)])
    set_weights(model)
    model.quantize("float8")
    model.compile("adam", "mse")
    history = model.fit(numbers(32, 8), numbers(32, 2), batch_size=8, epochs=2, shuffle=False, verbose=0)
    return results | {
        "float8 loss": history.history["loss"],
        "float8": model.predict(numbers(10, 8), verbose=0),
    }


def int4_with_lora() -> Results:
    """An embedding whose weights are packed, with new trained ones beside them."""
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 4)])
    set_weights(model)
    model.quantize("int4")
    model.layers[0].enable_lora(2)
    return {"int4": model.predict(np.arange(6).reshape(2, 3) % 5, verbose=0)}


def quantized() -> Results:
    """A model in int8, casts to float8, training in float8, int4 with LoRA, and mixed precision."""
    model = keras.Sequential([keras.Input((8,)), layers.Dense(6, "relu"), layers.Dense(2)])
    set_weights(model)
    model.quantize("int8")
    results = {"int8": model.predict(numbers(10, 8), verbose=0)}
    results |= float8() | int4_with_lora()
    policy = keras.DTypePolicy("mixed_bfloat16")
    mixed = keras.Sequential([keras.Input((8,)), layers.Dense(6, "relu", dtype=policy), layers.Dense(2)])
    set_weights(mixed)
    return results | {"rough mixed": mixed.predict(numbers(10, 8), verbose=0)}


PROGRAMS: list[Callable[[], Results]] = [
    dense, convolutional, recurrent, attention, optimizer_states, custom_layer, shuffled, callbacks,
    control_flow, quantized,
]  # fmt: skip


def own_train_step() -> Results:
    """`train_step` of a user, with Hornbeam's gradients: the same as Keras's own."""

    class Model(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            weights = self.trainable_variables
            self.optimizer.apply(hornbeam.gradients(loss, weights), weights)
            return {"loss": loss}

    results = []
    x, y = numbers(32, 4), numbers(32, 1)
    for kind in (keras.Model, Model):
        inputs = keras.Input((4,))
        model = kind(inputs, layers.Dense(1)(layers.Dense(3, "relu")(inputs)))
        set_weights(model)
        model.compile("adam", "mse")
        model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
        results.append(model.get_weights())
    return {"difference": max(abs(a - b).max() for a, b in zip(*results, strict=True))}


def masked_sequences() -> Results:
    """LSTM and GRU in one operation and in a loop, with masks that begin, end, or leave out all steps."""
    mask = np.array([[0, 0, 1, 1, 0, 1], [1, 0, 1, 1, 0, 0], [0] * 6, [1] * 6], "bool")
    inputs = [numbers(4, 6, 4), numbers(4, 3), numbers(4, 3, seed=8), mask]
    difference = 0.0
    for number in range(16):
        sequences, backwards, zeros, other = (bool(number >> bit & 1) for bit in range(4))
        results = []
        for cudnn in ("auto", False):
            x, h, c, shown = (keras.Input(each.shape[1:], dtype=each.dtype) for each in inputs)
            layer = (layers.GRU if other else layers.LSTM)(
                3,
                return_sequences=sequences,
                go_backwards=backwards,
                zero_output_for_mask=zeros,
                use_cudnn=cudnn,
            )
            outputs = layer(x, mask=shown, initial_state=[h] if other else [h, c])
            model = keras.Model([x, h, c, shown], outputs)
            set_weights(model)
            model.compile("sgd", "mse")
            predicted = model.predict(inputs, verbose=0)
            model.train_on_batch(inputs, numbers(*predicted.shape))
            results.append([predicted, *model.get_weights()])
        difference = max(difference, *(abs(a - b).max() for a, b in zip(*results, strict=True)))
    return {"difference": difference}


def attention_dropout() -> Results:
    """Attention with dropout in one operation, and composed, as for scores that a call returns."""
    x, mask = numbers(2, 6, 8), np.random.default_rng(0).random((2, 6, 6)) < 0.7
    mask[:, 2] = False
    difference = 0.0
    for kind, sizes in ((layers.MultiHeadAttention, (2, 4)), (layers.GroupQueryAttention, (4, 2, 1))):
        for training, chosen, causal in itertools.product((False, True), (None, mask), (False, True)):
            results = []
            for scores in (False, True):
                layer = kind(*sizes, dropout=0.4, seed=3)
                layer(x, x)
                layer.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in layer.get_weights()])
                options = {"attention_mask": chosen, "use_causal_mask": causal, "training": training}
                result = layer(x, x, return_attention_scores=scores, **options)
                results.append(np.asarray(result[0] if scores else result))
            difference = max(difference, abs(results[0] - results[1]).max())
    return {"difference": difference}


def main(path: str) -> None:
    """Run all programs and write their results."""
    chosen = (
        [*PROGRAMS, own_train_step, masked_sequences, attention_dropout]
        if keras.backend.backend() == "hornbeam"
        else PROGRAMS
    )
    arrays = {f"{program.__name__}/{name}": value for program in chosen for name, value in program().items()}
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})


if __name__ == "__main__":
    main(sys.argv[1])
