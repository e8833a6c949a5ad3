"""Image classification from scratch: augmentation as layers, then a small Xception-like network.

Made-up photographs: blobs with or without a stripe, at any place and of any colour.
"""

import keras
import numpy as np
from keras import layers


def make_images(count, size=32, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 60, (count, size, size, 3))
    labels = rng.integers(0, 2, count)
    rows, columns = np.mgrid[:size, :size]
    for image, label in zip(images, labels):
        y, x = rng.uniform(10, 22, 2)
        colour = rng.uniform(120, 250, 3)
        image[(rows - y) ** 2 + (columns - x) ** 2 < 49] = colour
        if label:
            image[np.abs(rows - y) < 2] = 255 - colour
    return images.astype("float32"), labels.astype("float32")


def make_model(input_shape, num_classes):
    augmentation = [layers.RandomFlip("horizontal", seed=1), layers.RandomContrast(0.2, seed=2)]
    inputs = keras.Input(shape=input_shape)
    x = inputs
    for layer in augmentation:
        x = layer(x)
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    previous = x
    for size in [24, 32]:
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(size, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        residual = layers.Conv2D(size, 1, strides=2, padding="same")(previous)
        x = layers.add([x, residual])
        previous = x
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.25)(x)
    units = 1 if num_classes == 2 else num_classes
    return keras.Model(inputs, layers.Dense(units, activation=None)(x))


def main():
    keras.utils.set_random_seed(1)
    x, y = make_images(600)
    model = make_model((32, 32, 3), num_classes=2)
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(name="acc")],
    )
    history = model.fit(x[:500], y[:500], batch_size=25, epochs=6, verbose=2)
    score = float(keras.ops.sigmoid(model.predict(x[500:501], verbose=0)[0][0]))
    print(f"This image is {100 * (1 - score):.2f}% plain and {100 * score:.2f}% striped.")
    return {"loss": history.history["loss"], "acc": history.history["acc"]}


if __name__ == "__main__":
    main()
