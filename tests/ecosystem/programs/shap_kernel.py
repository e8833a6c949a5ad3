"""shap: explainers that call a model as a function."""

import keras
import numpy as np
import shap

rng = np.random.default_rng(0)
x = rng.normal(size=(40, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=2, verbose=0)


def predict(rows):
    return model.predict(rows.astype("float32"), verbose=0)[:, 0]


values = shap.KernelExplainer(predict, x[:5]).shap_values(x[:3], nsamples=30, silent=True)
assert values.shape == (3, 4)
total = values.sum(1) + predict(x[:5]).mean()
np.testing.assert_allclose(total, predict(x[:3]), atol=1e-3)
explanation = shap.PermutationExplainer(predict, x[:5])(x[:2])
assert explanation.values.shape == (2, 4)
