"""shap (tensorflow): expected gradients and DeepLIFT of a network."""

import keras
import numpy as np
import shap

x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=1, verbose=0)
values = np.asarray(shap.GradientExplainer(model, x[:10]).shap_values(x[:3], nsamples=20))
assert values.size == 12
deep = np.asarray(shap.DeepExplainer(model, x[:10]).shap_values(x[:3]))
total = deep.reshape(3, 4).sum(1) + model.predict(x[:10], verbose=0).mean()
np.testing.assert_allclose(total, model.predict(x[:3], verbose=0)[:, 0], atol=1e-2)
