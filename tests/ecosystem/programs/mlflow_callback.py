"""mlflow: a model, its metrics and its parameters are logged by the callback for Keras."""

import keras
import mlflow
import numpy as np
from mlflow.keras import MlflowCallback

mlflow.set_tracking_uri("sqlite:///mlruns.db")
x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
with mlflow.start_run() as run:
    model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[MlflowCallback(run)])
    info = mlflow.keras.log_model(model, name="model")
logged = mlflow.get_run(run.info.run_id).data
assert {"loss", "mae"} <= set(logged.metrics)
loaded = mlflow.keras.load_model(info.model_uri)
np.testing.assert_allclose(model.predict(x, verbose=0), loaded.predict(x, verbose=0), rtol=1e-5)
