"""keras-tuner: random search over units, activation and learning rate."""

import keras
import keras_tuner
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 8)).astype("float32")
y = (x[:, 0] > 0).astype("int32")


def build(hp):
    model = keras.Sequential(
        [keras.layers.Dense(hp.Int("units", 4, 16, step=4), hp.Choice("act", ["relu", "tanh"]))]
    )
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(0.1))
    model.add(keras.layers.Dense(2, "softmax"))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


tuner = keras_tuner.RandomSearch(build, objective="val_accuracy", max_trials=3, seed=1, directory="search")
tuner.search(x, y, epochs=2, validation_split=0.25, verbose=0)
best = tuner.get_best_models()[0]
assert best.predict(x, verbose=0).shape == (64, 2)
assert tuner.get_best_hyperparameters()[0].get("units") in (4, 8, 12, 16)
again = keras_tuner.RandomSearch(build, objective="val_accuracy", max_trials=3, seed=1, directory="search")
assert len(again.oracle.trials) == 3
