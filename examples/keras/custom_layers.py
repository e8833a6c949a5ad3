"""Layers and models of one's own: state, nesting, losses inside layers, saving and loading."""

import os
import tempfile

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="tutorial")
class Linear(keras.layers.Layer):
    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True, name="w"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="tutorial")
class ActivityRegularization(keras.layers.Layer):
    """Adds the mean square of what passes through to the loss."""

    def __init__(self, rate=1e-2, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(ops.square(inputs)))
        return inputs

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="tutorial")
class ComputeSum(keras.layers.Layer):
    """Counts what it has seen, in a weight that is not trained."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_weight(initializer="zeros", shape=(), trainable=False, name="total")

    def call(self, inputs):
        self.total.assign_add(ops.cast(ops.shape(inputs)[0], "float32"))
        return inputs


@keras.saving.register_keras_serializable(package="tutorial")
class MLP(keras.Model):
    def __init__(self, units=16, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.count = ComputeSum()
        self.linear_1 = Linear(units)
        self.regularize = ActivityRegularization(0.05)
        self.linear_2 = Linear(1)

    def call(self, inputs):
        x = self.count(inputs)
        x = ops.relu(self.linear_1(x))
        x = self.regularize(x)
        return self.linear_2(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def main():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 8)).astype("float32")
    y = np.maximum(x @ rng.normal(size=(8, 1)), 0).astype("float32")
    model = MLP()
    model.compile(keras.optimizers.Adam(0.01), "mse")
    history = model.fit(x, y, batch_size=40, epochs=8, verbose=2)
    print("seen", float(ops.convert_to_numpy(model.count.total)), "weights", len(model.weights))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        model.save(path)
        loaded = keras.saving.load_model(path)
    same = np.abs(model.predict(x[:9], verbose=0) - loaded.predict(x[:9], verbose=0)).max()
    print("loaded model differs by", same)
    return {"loss": history.history["loss"], "differs": float(same)}


if __name__ == "__main__":
    main()
