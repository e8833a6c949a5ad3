"""A convolutional autoencoder that removes noise from images."""

import keras
import numpy as np
from keras import layers


def make_pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:28, :28]
    x = np.zeros((count, 28, 28, 1), "float32")
    for picture in x:
        cy, cx, r = rng.uniform(8, 20), rng.uniform(8, 20), rng.uniform(4, 8)
        distance = np.hypot(rows - cy, columns - cx)
        picture[..., 0] = distance < r if rng.random() < 0.5 else np.abs(distance - r) < 1.5
    return x


def noise(array, seed=1):
    rng = np.random.default_rng(seed)
    return np.clip(array + 0.4 * rng.normal(size=array.shape), 0.0, 1.0).astype("float32")


def main():
    keras.utils.set_random_seed(4)
    train_data = make_pictures(600)
    noisy_train_data = noise(train_data)
    inputs = layers.Input(shape=(28, 28, 1))
    x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(x)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
    autoencoder = keras.Model(inputs, x)
    autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
    clean = autoencoder.fit(x=train_data, y=train_data, epochs=3, batch_size=32, shuffle=True, verbose=2)
    denoised = autoencoder.fit(
        x=noisy_train_data, y=train_data, epochs=3, batch_size=32, shuffle=True, verbose=2
    )
    predictions = autoencoder.predict(noisy_train_data[:10], verbose=0)
    print("mean error", np.abs(predictions - train_data[:10]).mean())
    return {"clean": clean.history["loss"], "denoised": denoised.history["loss"]}


if __name__ == "__main__":
    main()
