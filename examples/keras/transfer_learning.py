"""Transfer learning and fine-tuning: a base trained on one task is frozen under a new head, then let go."""

import keras
import numpy as np
from keras import layers


def make_textures(count, classes, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(classes), count)
    rows, columns = np.mgrid[:20, :20]
    x = np.empty((count, 20, 20, 1), "float32")
    for picture, label in zip(x, y):
        angle = classes[label] + rng.normal(0, 0.08)
        wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 1.2 + rng.uniform(0, 6))
        picture[..., 0] = wave + 0.6 * rng.normal(size=wave.shape)
    return x, y


def make_base():
    inputs = keras.Input((20, 20, 1))
    x = layers.Conv2D(12, 5, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(24, 3, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.GlobalMaxPooling2D()(x), name="base")


def main():
    keras.utils.set_random_seed(0)
    base = make_base()
    x, y = make_textures(600, np.arange(6) * np.pi / 6)
    pretraining = keras.Sequential([base, layers.Dense(6, activation="softmax")])
    pretraining.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    first = pretraining.fit(x, y, batch_size=30, epochs=4, verbose=2)

    base.trainable = False
    inputs = keras.Input(shape=(20, 20, 1))
    z = base(inputs, training=False)
    z = layers.Dropout(0.2)(z)
    model = keras.Model(inputs, layers.Dense(1)(z))
    print("trainable weights with the base frozen:", len(model.trainable_weights))
    x, y = make_textures(200, [np.pi / 12, 7 * np.pi / 12], seed=1)
    y = y.astype("float32")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=[keras.metrics.BinaryAccuracy()])
    frozen = model.fit(x, y, batch_size=20, epochs=5, verbose=2)

    base.trainable = True
    for layer in base.layers:  # statistics of so few pictures would spoil what was learned
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    print("trainable weights with the base let go:", len(model.trainable_weights))
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=[keras.metrics.BinaryAccuracy()])
    tuned = model.fit(x, y, batch_size=20, epochs=3, verbose=2)
    return {"base": first.history["loss"], "frozen": frozen.history["loss"], "tuned": tuned.history["loss"]}


if __name__ == "__main__":
    main()
