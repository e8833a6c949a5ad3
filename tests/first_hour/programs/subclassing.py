"""A layer and a model of one's own, with losses of a layer, saved and loaded again."""

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="mine")
class Linear(layers.Layer):
    def __init__(self, units=32, rate=1e-2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.rate = rate

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(ops.square(self.w)))
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


@keras.saving.register_keras_serializable(package="mine")
class Classifier(keras.Model):
    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.hidden = Linear(16)
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.1)
        self.out = Linear(classes)

    def call(self, inputs, training=None):
        h = ops.relu(self.hidden(inputs))
        h = self.norm(h, training=training)
        if training:
            h = self.drop(h, training=training)
        return ops.softmax(self.out(h))

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


keras.utils.set_random_seed(0)
x = np.random.normal(size=(400, 8)).astype("float32")
y = (x[:, 0] + x[:, 1] > 0).astype("int64")
model = Classifier(2)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, epochs=15, batch_size=20, verbose=0)
assert history.history["accuracy"][-1] > 0.9, history.history["accuracy"]
model(x)
assert len(model.losses) == 2
model.save("classifier.keras")
again = keras.models.load_model("classifier.keras")
np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
