"""The convnet of the old Keras tutorial: 28x28 images, two convolutions, Adadelta with step 1.0."""

from common import images, keras, measure, samples

layers = keras.layers
x, y = images(samples(12800), 28, 1)
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
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
optimizer = keras.optimizers.Adadelta(learning_rate=1.0)
model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
measure(model, x, keras.utils.to_categorical(y, 10), 128)
