"""Learning to add: "12+7" goes in as characters, " 19" comes out; an LSTM reads, another one writes."""

import keras
import numpy as np
from keras import layers

DIGITS = 1
CHARS = "0123456789+ "
MAXLEN = DIGITS + 1 + DIGITS


def encode(text, length):
    made = np.zeros((length, len(CHARS)), "float32")
    for place, c in enumerate(text):
        made[place, CHARS.index(c)] = 1
    return made


def main():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 10**DIGITS, (800, 2))
    x = np.array([encode(f"{a}+{b}".ljust(MAXLEN), MAXLEN) for a, b in numbers])
    y = np.array([encode(f"{a + b}".ljust(DIGITS + 1), DIGITS + 1) for a, b in numbers])
    model = keras.Sequential()
    model.add(layers.Input((MAXLEN, len(CHARS))))
    model.add(layers.LSTM(48))
    model.add(layers.RepeatVector(DIGITS + 1))
    for _ in range(1):
        model.add(layers.LSTM(48, return_sequences=True))
    model.add(layers.TimeDistributed(layers.Dense(len(CHARS), activation="softmax")))
    model.compile(
        loss="categorical_crossentropy", optimizer=keras.optimizers.Adam(0.004), metrics=["accuracy"]
    )
    losses = []
    for _ in range(6):
        losses += model.fit(x, y, batch_size=32, epochs=2, verbose=0).history["loss"]
    preds = np.argmax(model.predict(x[:5], verbose=0), axis=-1)
    for (a, b), guess in zip(numbers, preds):
        print(f"{a}+{b} = {''.join(CHARS[i] for i in guess)}")
    return {"loss": losses}


if __name__ == "__main__":
    main()
