"""An LSTM text classifier: 80 words of 20,000, embedding and state of 128, Adam."""

from common import keras, measure, samples, sentences

layers = keras.layers
x, y = sentences(samples(5120), 80, 20000)
model = keras.Sequential(
    [
        keras.Input((80,), dtype="int32"),
        layers.Embedding(20000, 128),
        layers.LSTM(128),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
measure(model, x, y.astype("float32"), 32)
