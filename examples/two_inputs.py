"""A functional model with two inputs and two outputs: which digit is larger, and what is the sum?"""

from __future__ import annotations

import numpy as np

import hornbeam as hb
from hornbeam import layers


def build() -> hb.Model:
    left = hb.Input((28, 28), name="left")
    right = hb.Input((28, 28), name="right")
    # One encoder reads both images: its weights are shared.
    encoder = hb.Sequential([layers.Flatten(), layers.Dense(128, activation="relu")], name="encoder")
    both = layers.concatenate([encoder(left), encoder(right)])
    hidden = layers.Dense(128, activation="relu")(both)
    larger = layers.Dense(1, activation="sigmoid", name="larger")(hidden)
    total = layers.Dense(1, name="total")(hidden)
    return hb.Model(inputs=[left, right], outputs={"larger": larger, "total": total})


def pairs(x: np.ndarray, y: np.ndarray, count: int, seed: int) -> tuple[dict, dict]:
    rng = np.random.default_rng(seed)
    i, j = rng.integers(0, len(x), (2, count))
    images = {"left": x[i].astype("float32") / 255, "right": x[j].astype("float32") / 255}
    digits = y.astype("float32")
    answers = {
        "larger": (digits[i] > digits[j])[:, None].astype("float32"),
        "total": (digits[i] + digits[j])[:, None],
    }
    return images, answers


def main(epochs: int = 5, samples: int = 30_000) -> dict[str, float]:
    hb.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = hb.datasets.mnist.load_data()
    model = build()
    model.compile(
        optimizer="adam",
        loss={"larger": "binary_crossentropy", "total": "mse"},
        loss_weights={"larger": 1.0, "total": 0.1},
        metrics={"larger": "accuracy", "total": "mae"},
    )
    model.fit(*pairs(x_train, y_train, samples, seed=0), batch_size=128, epochs=epochs, validation_split=0.1)
    scores = model.evaluate(*pairs(x_test, y_test, 5000, seed=1), verbose=0, return_dict=True)
    print({name: round(value, 4) for name, value in scores.items()})
    return scores


if __name__ == "__main__":
    main()
