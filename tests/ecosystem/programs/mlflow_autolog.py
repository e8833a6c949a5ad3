"""mlflow: `autolog` follows `fit`."""

import keras
import mlflow
import numpy as np

mlflow.set_tracking_uri("sqlite:///mlruns.db")
mlflow.keras.autolog()
x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=2, verbose=0)
runs = mlflow.search_runs()
assert len(runs) == 1
assert "metrics.loss" in runs.columns
