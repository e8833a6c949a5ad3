"""A multi-layer perceptron, 784-512-512-10, with dropout and RMSprop."""

from common import images, keras, measure, samples

layers = keras.layers
x, y = images(samples(60000), 28, 1)
model = keras.Sequential(
    [
        keras.Input((784,)),
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
measure(model, x.reshape(len(x), 784), y, 128)
