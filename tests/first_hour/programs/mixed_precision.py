"""Mixed precision: float16 computations, float32 weights, scaled losses."""

import keras
import numpy as np
from keras import layers

keras.mixed_precision.set_global_policy("mixed_float16")
keras.utils.set_random_seed(0)
inputs = keras.Input(shape=(784,), name="digits")
dense1 = layers.Dense(64, activation="relu", name="dense_1")
x = dense1(inputs)
x = layers.Dense(10, name="dense_logits")(x)
outputs = layers.Activation("softmax", dtype="float32", name="predictions")(x)
model = keras.Model(inputs=inputs, outputs=outputs)
assert dense1.compute_dtype == "float16"
assert dense1.kernel.dtype == "float32"
assert outputs.dtype == "float32"

(x_train, y_train), _ = keras.datasets.mnist.load_data()
x_train = x_train[:1500].reshape(-1, 784).astype("float32") / 255
y_train = y_train[:1500]
model.compile(
    loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.RMSprop(), metrics=["accuracy"]
)
history = model.fit(x_train, y_train, batch_size=100, epochs=3, validation_split=0.2, verbose=2)
assert history.history["accuracy"][-1] > 0.8
assert np.isfinite(history.history["loss"]).all()
