"""keras-tuner: Bayesian optimization of a function, then of a tuner's own `run_trial`."""

import keras
import keras_tuner
import numpy as np


class Tuner(keras_tuner.BayesianOptimization):
    def run_trial(self, trial, **kwargs):
        hp = trial.hyperparameters
        return (hp.Float("a", -1, 1) - 0.5) ** 2


tuner = Tuner(max_trials=5, directory="bayes", project_name="f", seed=0)
tuner.search(verbose=0)
assert abs(tuner.get_best_hyperparameters()[0].get("a") - 0.5) < 1


def build(hp):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(hp.Int("n", 1, 8)), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


tuner = keras_tuner.BayesianOptimization(
    build, objective="loss", max_trials=4, directory="bayes", project_name="m"
)
tuner.search(np.ones((8, 2)), np.ones((8, 1)), epochs=1, verbose=0)
tuner.results_summary(1)
