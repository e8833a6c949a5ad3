# mypy: disable-error-code="no-untyped-def"
"""Subclasses of the base classes, with and without annotations, and models that use them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

import hornbeam as keras
from hornbeam import layers, ops


class Plain(layers.Layer):
    def __init__(self, units: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform")

    def call(self, inputs, training=False):
        return ops.matmul(inputs, self.kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


class Typed(layers.Layer):
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
        self.dense = layers.Dense(3, activation=ops.relu)

    def call(
        self, inputs: keras.Tensor, mask: keras.Tensor | None = None, training: bool = False
    ) -> keras.Tensor:
        return self.dense(inputs * self.scale)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 3)

    def compute_mask(
        self, inputs: keras.Tensor, previous_mask: keras.Tensor | None = None
    ) -> keras.Tensor | None:
        return previous_mask


class Pair(layers.Layer):
    def call(self, inputs: list[keras.Tensor]) -> dict[str, keras.Tensor]:
        return {"sum": inputs[0] + inputs[1], "difference": inputs[0] - inputs[1]}


class Halved(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = layers.Dense(4, "relu")
        self.inner = layers.Dense(1)

    def call(self, x: keras.Tensor, training: bool | None = None) -> keras.Tensor:
        return self.inner(self.hidden(x), training=training) / 2

    def train_step(self, data: Any) -> dict[str, Any]:
        return super().train_step(data)


class Hinge(keras.losses.Loss):
    def call(self, y_true: keras.Tensor, y_pred: keras.Tensor) -> keras.Tensor:
        return ops.mean(ops.maximum(1 - y_true * y_pred, 0), axis=-1)


def absolute(y_true: keras.Tensor, y_pred: keras.Tensor) -> keras.Tensor:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Positives(keras.metrics.Metric):
    def __init__(self, name: str = "positives", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(
        self, y_true: keras.Tensor, y_pred: keras.Tensor, sample_weight: keras.Tensor | None = None
    ) -> None:
        self.count.assign_add(ops.sum(ops.cast(y_pred > 0, "float32")))

    def result(self) -> keras.Tensor:
        return self.count.value

    def reset_state(self) -> None:
        self.count.assign(0.0)


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1 * 0.5 ** ops.cast(step, "float32")


class Decayed(keras.optimizers.Optimizer):
    def update_step(
        self, gradient: keras.Tensor, variable: keras.Variable, learning_rate: keras.Tensor
    ) -> None:
        variable.assign_sub(gradient * learning_rate)


class Ones(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return ops.ones(shape, dtype=dtype)


class Bounded(keras.constraints.Constraint):
    def __call__(self, w: keras.Tensor) -> keras.Tensor:
        return ops.clip(w, -1, 1)


class Small(keras.regularizers.Regularizer):
    def __call__(self, x: keras.Tensor) -> keras.Tensor:
        return 0.1 * ops.sum(x * x)


class Log(keras.callbacks.Callback):
    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.losses: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.losses.append((logs or {})["loss"])


x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
model = Halved()
model.compile(
    optimizer=Decayed(learning_rate=Halving()),
    loss=Hinge(),
    metrics=[Positives(), "mae", absolute],
)
model.compile("adam", loss=absolute, metrics=["mae"])
model.compile(optimizer="adam", loss=["mse", absolute], loss_weights=[1.0, 0.5], metrics=[["mae"], []])
model.compile(optimizer="adam", loss={"a": "mse"}, metrics={"a": ["mae"]})
history = model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), callbacks=[Log()], verbose=0)
model.fit({"a": x}, [y, y], class_weight={0: 1.0, 1: 2.0})
model.fit(keras.data.Dataset.from_tensor_slices((x, y)).batch(4))
losses: list[float] = history.history["loss"]
model.evaluate(x, y, return_dict=True)
predictions = model.predict(x)
print(predictions.shape, predictions[:3])
model.optimizer.learning_rate = 0.01
model.optimizer.learning_rate.assign(0.1)

inputs = keras.Input(shape=(10, 4), name="x")
hidden = layers.LSTM(8, return_sequences=True)(inputs)
hidden, h, c = layers.LSTM(8, return_state=True, return_sequences=True)(hidden)
hidden = layers.MultiHeadAttention(2, 4)(hidden, hidden)
hidden = layers.Bidirectional(layers.GRU(4))(hidden)
hidden = Typed()(hidden)
both = Pair()([hidden, hidden])
merged = layers.Concatenate()([both["sum"], both["difference"], hidden])
outputs = [layers.Dense(1, name="a")(merged), layers.Dense(2)(ops.tanh(merged) + 1.0)]
functional = keras.Model(inputs, outputs)
named = keras.Model({"x": inputs}, {"a": outputs[0]})
functional([x])
first, second = functional(x)
part = keras.Model(functional.input, functional.get_layer("a").output)
for layer in functional.layers:
    layer.trainable = False


def block(t: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    shortcut = t
    t = layers.Conv2D(filters, 3, padding="same", kernel_initializer=Ones(), kernel_constraint=Bounded())(t)
    t = layers.BatchNormalization()(t)
    t = layers.Activation("relu")(t)
    return layers.Add()([shortcut, t])


@keras.jit
def step(a: keras.Tensor) -> keras.Tensor:
    return ops.sum(a) * 2


def loss_fn(w: keras.Tensor) -> keras.Tensor:
    return ops.sum(w * w)


value, gradient = keras.value_and_grad(loss_fn)(ops.ones(3))
gradients = keras.grad(loss_fn)(ops.ones(3))
weight = keras.Variable(np.zeros((3, 3)), name="w")
weight.assign(weight - 0.1)
weight.assign_add(ops.ones((3, 3)))
print(float(ops.sum(weight)), weight.numpy().mean(), np.asarray(weight) + 1, np.mean(weight))
for row in weight:
    print(row.shape[0])
sizes: Sequence[int] = weight.shape
model.save("m.keras")
model.save_weights("m.weights.h5")
keras.models.load_model("m.keras", custom_objects={"Halved": Halved, "absolute": absolute})
keras.utils.set_random_seed(0)
layers.Dense(4, kernel_regularizer=Small(), bias_initializer=keras.initializers.Zeros())(x)
layers.Lambda(lambda t: t * 2)(x)
image = layers.RandomFlip("horizontal")(np.zeros((1, 8, 8, 3)))
