"""keras-mdn-layer: a mixture density network, its loss and its samples."""

import keras
import keras_mdn_layer as mdn
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 1)).astype("float32")
y = np.sin(x) + 0.1 * rng.normal(size=(64, 1)).astype("float32")
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(8, "tanh"), mdn.MDN(1, 3)])
model.compile("adam", mdn.get_mixture_loss_func(1, 3))
losses = model.fit(x, y, epochs=5, verbose=0).history["loss"]
assert losses[-1] < losses[0]
parameters = model.predict(x, verbose=0)
assert mdn.sample_from_output(parameters[0], 1, 3).size == 1
model.save("mdn.keras")
loaded = keras.models.load_model("mdn.keras", custom_objects={"MDN": mdn.MDN}, compile=False)
np.testing.assert_allclose(parameters, loaded.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
