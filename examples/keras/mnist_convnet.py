"""The first convolutional network: digits drawn on a small grid, read by two convolutions."""

import keras
import numpy as np
from keras import layers

# The digits on a grid of five rows and three columns.
GLYPHS = [
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
]


def load_data(train=2000, test=400, seed=0):
    rng = np.random.default_rng(seed)
    count = train + test
    labels = rng.integers(0, 10, count)
    images = np.zeros((count, 28, 28), "uint8")
    for image, label in zip(images, labels):
        glyph = np.array([int(c) for c in GLYPHS[label]]).reshape(5, 3)
        drawn = np.kron(glyph, np.ones((4, 4))) * 255
        top, left = rng.integers(0, 8), rng.integers(0, 16)
        image[top : top + 20, left : left + 12] = drawn
        image[rng.random((28, 28)) < 0.08] = 255
    return (images[:train], labels[:train]), (images[train:], labels[train:])


def main():
    keras.utils.set_random_seed(0)
    num_classes, input_shape = 10, (28, 28, 1)
    (x_train, y_train), (x_test, y_test) = load_data()
    x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
    x_test = np.expand_dims(x_test.astype("float32") / 255, -1)
    y_train = keras.utils.to_categorical(y_train, num_classes)
    y_test = keras.utils.to_categorical(y_test, num_classes)

    model = keras.Sequential(
        [
            keras.Input(shape=input_shape),
            layers.Conv2D(16, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
    model.summary()
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=64, epochs=5, verbose=2)
    score = model.evaluate(x_test, y_test, verbose=0)
    print("Test loss:", score[0])
    print("Test accuracy:", score[1])
    return {"loss": history.history["loss"], "test": score}


if __name__ == "__main__":
    main()
