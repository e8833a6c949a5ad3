"""Sentiment of padded sequences: two bidirectional LSTMs on embeddings that mask the padding."""

import keras
import numpy as np
from keras import layers

MAX_FEATURES, MAXLEN = 100, 20


def make_sequences(count, seed=0):
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        length = rng.integers(6, MAXLEN + 1)
        words = rng.integers(4, MAX_FEATURES, length)
        first, second = sorted(rng.choice(length, 2, replace=False))
        order = rng.permutation([2, 3])
        words[first], words[second] = order
        texts.append(list(words))
        labels.append(int(order[0] == 2))
    return texts, np.array(labels)


def main():
    keras.utils.set_random_seed(5)
    texts, y = make_sequences(800)
    x = keras.utils.pad_sequences(texts, maxlen=MAXLEN)
    inputs = keras.Input(shape=(None,), dtype="int32")
    z = layers.Embedding(MAX_FEATURES, 16, mask_zero=True)(inputs)
    z = layers.Bidirectional(layers.LSTM(16, return_sequences=True))(z)
    z = layers.Bidirectional(layers.LSTM(16))(z)
    outputs = layers.Dense(1, activation="sigmoid")(z)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(5e-3), loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x[:640], y[:640], batch_size=32, epochs=6, validation_data=(x[640:], y[640:]), verbose=2
    )
    return {"loss": history.history["loss"]}


if __name__ == "__main__":
    main()
