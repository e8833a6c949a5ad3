"""The convolutional network of the Keras tutorial on MNIST, with a validation set.

The test set is used once, at the end. During training a validation set is evaluated, which is split off the
training digits, shuffled and with the same proportion of each digit.
"""

from __future__ import annotations

import hornbeam as hb
from hornbeam import layers


def build() -> hb.Sequential:
    return hb.Sequential(
        [
            hb.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(epochs: int = 12, samples: int = 60_000) -> dict[str, float]:
    hb.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = hb.datasets.mnist.load_data()
    x_train = x_train[:samples, ..., None].astype("float32") / 255
    x_test = x_test[..., None].astype("float32") / 255

    model = build()
    model.summary()
    # The labels are digits, not one-hot rows: hence the sparse loss. Adadelta's rate is the paper's 1.0.
    model.compile(optimizer="adadelta", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train[:samples], batch_size=128, epochs=epochs, validation_split=0.1)
    scores = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    print(f"test loss {scores['loss']:.4f}, test accuracy {scores['accuracy']:.2%}")
    return scores


if __name__ == "__main__":
    main()
