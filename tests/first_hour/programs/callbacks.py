"""Seven callbacks in one fit."""

import os

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(3)
x = np.random.normal(size=(300, 5)).astype("float32")
y = x @ np.array([1.0, -2.0, 0.5, 0.0, 3.0], "float32")[:, None]

model = keras.Sequential([layers.Input((5,)), layers.Dense(8, activation="relu"), layers.Dense(1)])
model.compile(optimizer=keras.optimizers.Adam(0.05), loss="mse", metrics=["mae"])
lines = []
callbacks = [
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True),
    keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_lr=1e-4),
    keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
    keras.callbacks.ModelCheckpoint("at_{epoch:02d}.weights.h5", save_weights_only=True),
    keras.callbacks.CSVLogger("log.csv"),
    keras.callbacks.LearningRateScheduler(lambda epoch, lr: lr if epoch < 5 else lr * 0.9),
    keras.callbacks.TerminateOnNaN(),
    keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: lines.append((epoch, logs["loss"]))),
]
history = model.fit(
    x[:240],
    y[:240],
    epochs=8,
    batch_size=30,
    validation_data=(x[240:], y[240:]),
    callbacks=callbacks,
    verbose=0,
)
epochs = len(history.history["loss"])
assert len(lines) == epochs
assert history.history["val_loss"][-1] < history.history["val_loss"][0]
assert len(open("log.csv").readlines()) == epochs + 1
assert os.path.exists("at_01.weights.h5")
best = keras.models.load_model("best.keras")
loss, mae = best.evaluate(x[240:], y[240:], verbose=0)
assert abs(loss - min(history.history["val_loss"])) < 1e-4 * max(1, loss)
assert "learning_rate" in history.history
