"""An LSTM on text: is a sentence a question or a statement, when the punctuation is taken away?

The sentences are made here from a small grammar, so that the example needs no download.
"""

from __future__ import annotations

import numpy as np

import hornbeam as hb
from hornbeam import layers

LENGTH = 40
ALPHABET = " abcdefghijklmnopqrstuvwxyz"


def sentences(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Questions begin with the helping verb: "can the old dog see a red bird"."""
    rng = np.random.default_rng(seed)
    adjectives, nouns = ["old", "red", "small", "quick", "blue"], ["dog", "bird", "child", "robot", "teacher"]
    helpers, verbs = ["can", "will", "should", "must"], ["see", "find", "draw", "follow", "teach"]
    texts, labels = [], rng.integers(0, 2, count)
    for question in labels:
        a, b = rng.choice(adjectives, 2)
        n, m = rng.choice(nouns, 2)
        helper, verb = rng.choice(helpers), rng.choice(verbs)
        subject = f"the {a} {n}"
        start = f"{helper} {subject}" if question else f"{subject} {helper}"
        texts.append(f"{start} {verb} a {b} {m}")
    return texts, labels.astype("float32")


def encode(texts: list[str]) -> np.ndarray:
    """Letters as numbers from 1; 0 fills up to LENGTH and is masked."""
    rows = np.zeros((len(texts), LENGTH), "int32")
    for row, text in zip(rows, texts, strict=True):
        letters = [ALPHABET.index(letter) + 1 for letter in text[:LENGTH]]
        row[: len(letters)] = letters
    return rows


def main(epochs: int = 4, samples: int = 4000) -> float:
    hb.utils.set_random_seed(0)
    texts, labels = sentences(samples, seed=0)
    test_texts, test_labels = sentences(1000, seed=1)
    model = hb.Sequential(
        [
            hb.Input((LENGTH,), dtype="int32"),
            layers.Embedding(len(ALPHABET) + 1, 16, mask_zero=True),
            layers.LSTM(32),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer=hb.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(encode(texts), labels, batch_size=64, epochs=epochs, validation_split=0.1)
    _, accuracy = model.evaluate(encode(test_texts), test_labels, verbose=0)
    print(f"test accuracy {accuracy:.2%}")
    for text in ("can the old dog see a red bird", "the old dog can see a red bird"):
        score = float(model.predict(encode([text]), verbose=0)[0, 0])
        print(f"{text!r}: a question with probability {score:.2f}")
    return accuracy


if __name__ == "__main__":
    main()
