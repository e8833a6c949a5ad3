"""Transfer learning: a frozen MobileNetV2 with a new head, then fine-tuning at a low rate."""

import keras
import numpy as np
from keras import layers

rng = np.random.default_rng(0)
x = rng.uniform(0, 255, (24, 64, 64, 3)).astype("float32")
y = rng.integers(0, 2, 24)
x[y == 1] *= 0.3

base_model = keras.applications.MobileNetV2(
    weights=None, input_shape=(64, 64, 3), include_top=False, alpha=0.35
)
base_model.trainable = False

inputs = keras.Input(shape=(64, 64, 3))
h = layers.RandomFlip("horizontal")(inputs)
h = layers.Rescaling(scale=1 / 127.5, offset=-1)(h)
h = base_model(h, training=False)
h = layers.GlobalAveragePooling2D()(h)
h = layers.Dropout(0.2)(h)
outputs = layers.Dense(1)(h)
model = keras.Model(inputs, outputs)

model.compile(
    optimizer=keras.optimizers.Adam(),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
assert len(model.trainable_weights) == 2
before = [w.copy() for w in base_model.get_weights()]
model.fit(x, y, epochs=1, batch_size=8, verbose=2)
assert all(np.array_equal(a, b) for a, b in zip(before, base_model.get_weights()))

base_model.trainable = True
for layer in base_model.layers[:-4]:
    layer.trainable = False
model.compile(
    optimizer=keras.optimizers.Adam(1e-5),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
model.fit(x, y, epochs=1, batch_size=8, verbose=2)
assert not all(np.array_equal(a, b) for a, b in zip(before, base_model.get_weights()))
