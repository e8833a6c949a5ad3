"""Learning-rate schedules: one network under five of them, and a callback that sets the rate by epochs."""

import keras
import numpy as np
from keras import layers
from keras.optimizers import schedules


def make_data(count=600, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 10)).astype("float32")
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.normal(size=count)
    return x, y.astype("float32")


def train(rate, callbacks=(), optimizer=keras.optimizers.SGD):
    keras.utils.set_random_seed(0)
    x, y = make_data()
    model = keras.Sequential([keras.Input((10,)), layers.Dense(32, activation="relu"), layers.Dense(1)])
    model.compile(optimizer=optimizer(learning_rate=rate), loss="mse")
    history = model.fit(x, y, batch_size=20, epochs=6, verbose=0, callbacks=list(callbacks))
    return history.history["loss"], float(np.asarray(model.optimizer.learning_rate))


def main():
    found = {}
    rates = {
        "exponential": schedules.ExponentialDecay(0.05, decay_steps=60, decay_rate=0.5, staircase=True),
        "piecewise": schedules.PiecewiseConstantDecay([60, 120], [0.05, 0.02, 0.005]),
        "polynomial": schedules.PolynomialDecay(0.05, decay_steps=150, end_learning_rate=0.001, power=2.0),
        "cosine": schedules.CosineDecay(0.001, decay_steps=150, warmup_target=0.05, warmup_steps=30),
        "restarts": schedules.CosineDecayRestarts(0.05, first_decay_steps=60),
    }
    for name, rate in rates.items():
        found[name], last = train(rate)
        print(f"{name}: loss {found[name][-1]:.4f}, last rate {last:.5f}")
        found[f"{name}_rate"] = last

    def halve(epoch, lr):
        return lr if epoch < 3 else lr * 0.5

    found["scheduler"], found["scheduler_rate"] = train(
        0.05, [keras.callbacks.LearningRateScheduler(halve)], keras.optimizers.SGD
    )
    print(f"scheduler: loss {found['scheduler'][-1]:.4f}, last rate {found['scheduler_rate']:.5f}")
    return found


if __name__ == "__main__":
    main()
