"""Timeseries classification from scratch: three convolutions, and callbacks that stop, save and slow down."""

import os
import tempfile

import keras
import numpy as np


def make_engine_noise(count, length=100, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    t = np.arange(length)
    phase = rng.uniform(0, 6, (count, 1))
    x = np.sin(t * 0.3 + phase) + 0.7 * rng.normal(size=(count, length))
    start = rng.integers(0, length - 20, count)
    for row in np.flatnonzero(y):
        x[row, start[row] : start[row] + 20] += np.sin(np.arange(20) * 1.5) * 1.5
    return x[..., None].astype("float32"), y


def make_model(input_shape, num_classes):
    input_layer = keras.layers.Input(input_shape)
    x = input_layer
    for _ in range(3):
        x = keras.layers.Conv1D(filters=24, kernel_size=3, padding="same")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    gap = keras.layers.GlobalAveragePooling1D()(x)
    output_layer = keras.layers.Dense(num_classes, activation="softmax")(gap)
    return keras.models.Model(inputs=input_layer, outputs=output_layer)


def main():
    keras.utils.set_random_seed(7)
    x, y = make_engine_noise(700)
    model = make_model(x.shape[1:], num_classes=2)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "best_model.keras")
        callbacks = [
            keras.callbacks.ModelCheckpoint(path, save_best_only=True, monitor="loss"),
            keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2, min_lr=1e-4),
            keras.callbacks.EarlyStopping(monitor="loss", patience=5, verbose=1),
        ]
        model.compile(
            optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"]
        )
        history = model.fit(x[:560], y[:560], batch_size=32, epochs=8, callbacks=callbacks, verbose=2)
        model = keras.models.load_model(path)
    test_loss, test_acc = model.evaluate(x[560:], y[560:], verbose=0)
    print("Test accuracy", test_acc)
    return {"loss": history.history["loss"], "test_loss": test_loss}


if __name__ == "__main__":
    main()
