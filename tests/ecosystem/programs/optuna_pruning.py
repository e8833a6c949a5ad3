"""optuna-integration: trials are pruned by a callback."""

import keras
import numpy as np
import optuna
from optuna_integration import KerasPruningCallback

optuna.logging.set_verbosity(optuna.logging.WARNING)
x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


def objective(trial):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(trial.suggest_int("n", 1, 8)), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(trial.suggest_float("rate", 1e-3, 1e-1, log=True)), "mse")
    callback = KerasPruningCallback(trial, "val_loss")
    fit = model.fit(x, x[:, :1], epochs=3, validation_split=0.2, verbose=0, callbacks=[callback])
    return fit.history["val_loss"][-1]


study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1), direction="minimize")
study.optimize(objective, n_trials=4)
assert study.best_value >= 0
