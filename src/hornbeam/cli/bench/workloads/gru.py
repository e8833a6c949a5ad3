"""Conv1D and GRU on signals of 256 steps with 8 channels, Adam."""

from common import images, keras, measure, samples

layers = keras.layers
x, y = images(samples(5120), 16, 8)
x = x.reshape(len(x), 256, 8)
model = keras.Sequential(
    [
        keras.Input((256, 8)),
        layers.Conv1D(32, 5, strides=2, activation="relu"),
        layers.Conv1D(64, 5, strides=2, activation="relu"),
        layers.GRU(64),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
measure(model, x, y, 64)
