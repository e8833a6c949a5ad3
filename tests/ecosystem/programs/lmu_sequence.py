"""keras-lmu (tensorflow): a Legendre memory unit with a hidden cell."""

import keras
import keras_lmu
import numpy as np

x = np.random.default_rng(0).normal(size=(16, 10, 3)).astype("float32")
cell = keras.layers.SimpleRNNCell(6)
model = keras.Sequential(
    [keras.Input((10, 3)), keras_lmu.LMU(2, 4, 5, hidden_cell=cell, dropout=0.1), keras.layers.Dense(1)]
)
model.compile("adam", "mse")
model.fit(x, x.mean((1, 2))[:, None], epochs=2, verbose=0)
before = model.predict(x, verbose=0)
model.save("lmu.keras")
after = keras.models.load_model("lmu.keras").predict(x, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
