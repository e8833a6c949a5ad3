"""keras-tuner: Hyperband over a hypermodel with an early stop."""

import keras
import keras_tuner
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 4)).astype("float32")
y = x.sum(-1, keepdims=True)


class Regression(keras_tuner.HyperModel):
    def build(self, hp):
        inputs = keras.Input((4,))
        hidden = inputs
        for i in range(hp.Int("layers", 1, 2)):
            hidden = keras.layers.Dense(hp.Int(f"units_{i}", 4, 8, step=4), activation="relu")(hidden)
        model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
        model.compile("adam", "mse", metrics=["mae"])
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch", [16, 32]), **kwargs)


tuner = keras_tuner.Hyperband(
    Regression(), objective=keras_tuner.Objective("val_mae", "min"), max_epochs=3, factor=3, directory="bands"
)
stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1)
tuner.search(x, y, validation_data=(x, y), callbacks=[stop], verbose=0)
assert tuner.get_best_models()[0].evaluate(x, y, verbose=0)[0] > 0
