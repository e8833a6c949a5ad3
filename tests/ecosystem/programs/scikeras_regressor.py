"""scikeras: a regressor with an optimizer by name and parameters, fitted in parts."""

import keras
import numpy as np
from scikeras.wrappers import KerasRegressor
from sklearn.model_selection import cross_val_score


def build():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])


x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
y = x @ np.array([1.0, 2.0, 3.0], "float32")
regressor = KerasRegressor(
    build, loss="mse", optimizer="adam", optimizer__learning_rate=0.05, epochs=20, verbose=0, metrics=["mae"]
)
assert cross_val_score(regressor, x, y, cv=2).mean() > 0.5
regressor.fit(x, y)
regressor.partial_fit(x, y)
assert regressor.score(x, y) > 0.8
assert len(regressor.history_["loss"]) == 21
