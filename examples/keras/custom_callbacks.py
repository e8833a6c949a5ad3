"""Callbacks: one that stops at the least loss, one that sets rates by a table, one that notes everything."""

import csv
import os
import tempfile

import keras
import numpy as np
from keras import layers


class EarlyStoppingAtMinLoss(keras.callbacks.Callback):
    """Stop when the loss has not gone down for `patience` epochs, and go back to the best weights."""

    def __init__(self, patience=0):
        super().__init__()
        self.patience = patience
        self.best_weights = []

    def on_train_begin(self, logs=None):
        self.wait = 0
        self.stopped_epoch = 0
        self.best = np.inf

    def on_epoch_end(self, epoch, logs=None):
        current = logs["loss"]
        if np.less(current, self.best):
            self.best = current
            self.wait = 0
            self.best_weights = self.model.get_weights()
        else:
            self.wait += 1
            if self.wait >= self.patience:
                self.stopped_epoch = epoch
                self.model.stop_training = True
                self.model.set_weights(self.best_weights)


class CustomLearningRateScheduler(keras.callbacks.Callback):
    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs=None):
        lr = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.model.optimizer.learning_rate = self.schedule(epoch, lr)


class Counter(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events = {}

    def _count(self, name):
        self.events[name] = self.events.get(name, 0) + 1

    def on_train_begin(self, logs=None):
        self._count("train_begin")

    def on_train_end(self, logs=None):
        self._count("train_end")

    def on_train_batch_end(self, batch, logs=None):
        self._count("train_batch_end")

    def on_test_batch_end(self, batch, logs=None):
        self._count("test_batch_end")

    def on_predict_end(self, logs=None):
        self._count("predict_end")


def main():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 20)).astype("float32")
    y = (x[:, :3].sum(axis=1) > 0).astype("float32")
    model = keras.Sequential([keras.Input((20,)), layers.Dense(16, activation="relu"), layers.Dense(1)])
    model.compile(keras.optimizers.RMSprop(0.01), keras.losses.BinaryCrossentropy(from_logits=True))
    counter = Counter()
    rates = {3: 0.005, 6: 0.001}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.csv")
        history = model.fit(
            x, y, batch_size=64, epochs=8, verbose=0,
            callbacks=[
                counter,
                EarlyStoppingAtMinLoss(patience=2),
                CustomLearningRateScheduler(lambda epoch, lr: rates.get(epoch, lr)),
                keras.callbacks.CSVLogger(path),
                keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs))),
            ],
        )  # fmt: skip
        with open(path) as file:
            rows = list(csv.DictReader(file))
    model.evaluate(x, y, batch_size=128, verbose=0, callbacks=[counter])
    model.predict(x, batch_size=128, verbose=0, callbacks=[counter])
    print(counter.events, "rows in the log:", len(rows))
    return {"loss": history.history["loss"], "events": sum(counter.events.values()), "rows": len(rows)}


if __name__ == "__main__":
    main()
