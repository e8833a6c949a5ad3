"""A convolutional autoencoder with a dense code of 32 numbers, on 28x28 images, Adam."""

from common import images, keras, measure, samples

layers = keras.layers
x, _ = images(samples(12800), 28, 1)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(32),
        layers.Dense(7 * 7 * 32, activation="relu"),
        layers.Reshape((7, 7, 32)),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(1, 3, strides=2, padding="same"),
    ]
)
model.compile("adam", "mse", metrics=["mae"])
measure(model, x, x, 128)
